#include "src/base/thread_executor.h"

#include <pthread.h>

namespace tidemark {
namespace {

constexpr size_t kKernelNameLength = 15;

thread_local const ThreadExecutor* current_executor = nullptr;

}  // namespace

ThreadExecutor::ThreadExecutor(const std::string& name, const Clock& clock, ThreadUrgency urgency)
    : clock_(clock), thread_([this, urgency] { Loop(urgency); }) {
  ::pthread_setname_np(thread_.native_handle(), name.substr(0, kKernelNameLength).c_str());
}

ThreadExecutor::~ThreadExecutor() {
  CHECK(!IsCurrent());
  Stop();
  thread_.join();
  // Whoever woke the thread may still be at it.
  while (wakers_.load(std::memory_order_acquire) > 0) std::this_thread::yield();
}

void ThreadExecutor::Post(Task task) {
  bool wakes = false;
  {
    MutexLock lock(&mutex_);
    if (stopped_) return;
    mailbox_.push_back(std::move(task));
    wakes = MustWake();
  }
  if (wakes) Wake();
}

TimerId ThreadExecutor::PostAt(absl::Duration when, Task task) {
  bool wakes = false;
  TimerId id = 0;
  {
    MutexLock lock(&mutex_);
    id = ++last_timer_id_;
    if (stopped_) return id;
    const bool is_first = timers_.empty() || when < timers_.begin()->first.first;
    timers_.emplace(TimerKey(when, id), std::move(task));
    timer_times_.emplace(id, when);
    wakes = is_first && MustWake();
  }
  if (wakes) Wake();
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

bool ThreadExecutor::MustWake() {
  if (!idle_) return false;
  idle_ = false;
  wakers_.fetch_add(1, std::memory_order_relaxed);
  return true;
}

// Under the lock the woken thread would run only to wait for the lock.
void ThreadExecutor::Wake() {
  work_.Signal();
  wakers_.fetch_sub(1, std::memory_order_release);
}

void ThreadExecutor::Loop(ThreadUrgency urgency) {
  AskFor(urgency);
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

void ThreadExecutor::Drain() {
  CHECK(!IsCurrent());
  std::latch done(1);
  Post([&done] { done.count_down(); });
  done.wait();
}

void ThreadExecutor::Stop() {
  std::vector<Task> tasks;
  absl::btree_map<TimerKey, Task> timers;
  bool wakes = false;
  {
    MutexLock lock(&mutex_);
    stopped_ = true;
    tasks.swap(mailbox_);
    timers.swap(timers_);
    timer_times_.clear();
    wakes = MustWake();
  }
  if (wakes) Wake();
  if (!IsCurrent()) ended_.wait();
}

}  // namespace tidemark
