#include "src/base/thread_executor.h"

#include <pthread.h>

namespace tidemark {
namespace {

constexpr size_t kKernelNameLength = 15;

thread_local const ThreadExecutor* current_executor = nullptr;

}  // namespace

ThreadExecutor::ThreadExecutor(const std::string& name, const Clock& clock)
    : clock_(clock), thread_([this] { Loop(); }) {
  ::pthread_setname_np(thread_.native_handle(), name.substr(0, kKernelNameLength).c_str());
}

ThreadExecutor::~ThreadExecutor() {
  CHECK(!IsCurrent());
  Stop();
  thread_.join();
}

void ThreadExecutor::Post(Task task) {
  MutexLock lock(&mutex_);
  if (stopped_) return;
  mailbox_.push_back(std::move(task));
  WakeIfIdle();
}

TimerId ThreadExecutor::PostAt(absl::Duration when, Task task) {
  MutexLock lock(&mutex_);
  const TimerId id = ++last_timer_id_;
  if (stopped_) return id;
  const bool is_first = timers_.empty() || when < timers_.begin()->first.first;
  timers_.emplace(TimerKey(when, id), std::move(task));
  timer_times_.emplace(id, when);
  if (is_first) WakeIfIdle();
  return id;
}

void ThreadExecutor::Cancel(TimerId id) {
  Task cancelled;  // destroyed after the lock: what it holds may post
  MutexLock lock(&mutex_);
  auto time = timer_times_.find(id);
  if (time == timer_times_.end()) return;
  auto timer = timers_.find(TimerKey(time->second, id));
  cancelled = std::move(timer->second);
  timers_.erase(timer);
  timer_times_.erase(time);
}

bool ThreadExecutor::IsCurrent() const { return current_executor == this; }

void ThreadExecutor::WakeIfIdle() {
  if (!idle_) return;
  idle_ = false;
  work_.Signal();
}

void ThreadExecutor::Loop() {
  current_executor = this;
  std::vector<Task> tasks;
  while (!stopped_.load(std::memory_order_relaxed)) {
    WaitForWork(tasks);
    RunTasks(tasks);
    RunDueTimers();
  }
  ended_.count_down();
}

void ThreadExecutor::RunTasks(std::vector<Task>& tasks) {
  for (Task& waiting : tasks) {
    if (stopped_.load(std::memory_order_relaxed)) break;
    Task task = std::move(waiting);
    task();
  }
  tasks.clear();
}

// Timers that are due now; those they add for now wait for the next round, behind the tasks.
void ThreadExecutor::RunDueTimers() {
  const absl::Duration now = clock_.Monotonic();
  TimerId newest = 0;
  {
    MutexLock lock(&mutex_);
    if (timers_.empty()) return;
    newest = last_timer_id_;
  }
  while (true) {
    Task task;
    {
      MutexLock lock(&mutex_);
      if (stopped_ || timers_.empty()) return;
      auto first = timers_.begin();
      if (first->first.first > now || first->first.second > newest) return;
      timer_times_.erase(first->first.second);
      task = std::move(first->second);
      timers_.erase(first);
    }
    task();
  }
}

void ThreadExecutor::WaitForWork(std::vector<Task>& tasks) {
  MutexLock lock(&mutex_);
  while (!stopped_ && mailbox_.empty()) {
    absl::Duration wait = absl::InfiniteDuration();
    if (!timers_.empty()) wait = timers_.begin()->first.first - clock_.Monotonic();
    if (wait <= absl::ZeroDuration()) break;
    idle_ = true;
    work_.WaitWithTimeout(&mutex_, wait);
    idle_ = false;
  }
  tasks.swap(mailbox_);
}

void ThreadExecutor::Stop() {
  std::vector<Task> tasks;
  absl::btree_map<TimerKey, Task> timers;
  {
    MutexLock lock(&mutex_);
    stopped_ = true;
    tasks.swap(mailbox_);
    timers.swap(timers_);
    timer_times_.clear();
    WakeIfIdle();
  }
  if (!IsCurrent()) ended_.wait();
}

}  // namespace tidemark
