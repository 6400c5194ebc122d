#include "src/server/transport/event_loop.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "absl/strings/str_cat.h"
#include "src/base/thread_urgency.h"

namespace tidemark::server {
namespace {

constexpr int kEventsPerTurn = 256;
constexpr size_t kReadBufferBytes = 128 << 10;
constexpr absl::Duration kLongestWait = absl::Minutes(1);
constexpr uint64_t kWakeMark = ~uint64_t{0};

thread_local const EventLoop* current_loop = nullptr;

int OrDie(int result, absl::string_view what) {
  if (result < 0) Fatal(absl::StrCat(what, ": ", strerror(errno)));
  return result;
}

}  // namespace

EventLoop::EventLoop(const Clock& clock, std::string name)
    : clock_(clock),
      name_(std::move(name)),
      epoll_fd_(OrDie(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
      wake_fd_(OrDie(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")),
      now_(clock.Monotonic()),
      read_buffer_(kReadBufferBytes) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kWakeMark;
  OrDie(epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, wake_fd_, &event), "epoll_ctl");
}

EventLoop::~EventLoop() {
  CHECK(!thread_.joinable());
  // Tasks may own calls whose destructors post: let them, until nothing is left.
  while (true) {
    std::vector<Task> tasks;
    std::map<TimerKey, Task> timers;
    {
      MutexLock lock(&mutex_);
      tasks.swap(mailbox_);
      timers.swap(timers_);
      timer_times_.clear();
    }
    if (tasks.empty() && timers.empty()) break;
  }
  close(wake_fd_);
  close(epoll_fd_);
}

void EventLoop::Start() {
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), name_.substr(0, 15).c_str());
    AskFor(ThreadUrgency::kServing);
    Run();
  });
}

void EventLoop::Stop() {
  stopping_.store(true);
  Wake();
}

void EventLoop::Join() {
  if (thread_.joinable()) thread_.join();
}

bool EventLoop::IsCurrent() const { return current_loop == this; }

size_t EventLoop::timer_count() const {
  MutexLock lock(&mutex_);
  return timers_.size();
}

void EventLoop::Wake() {
  const uint64_t one = 1;
  // EAGAIN means that the counter is full: the loop is woken anyway.
  if (write(wake_fd_, &one, sizeof(one)) < 0 && errno != EAGAIN) {
    Fatal(absl::StrCat("eventfd write: ", strerror(errno)));
  }
}

void EventLoop::Post(Task task) {
  bool wake = false;
  {
    MutexLock lock(&mutex_);
    mailbox_.push_back(std::move(task));
    wake = std::exchange(sleeping_, false);
  }
  if (wake) Wake();
}

TimerId EventLoop::PostAt(absl::Duration when, Task task) {
  bool wake = false;
  TimerId id = 0;
  {
    MutexLock lock(&mutex_);
    id = ++last_timer_id_;
    const auto [it, inserted] = timers_.emplace(TimerKey(when, id), std::move(task));
    CHECK(inserted);
    timer_times_.emplace(id, when);
    if (it == timers_.begin()) wake = std::exchange(sleeping_, false);
  }
  if (wake) Wake();
  return id;
}

void EventLoop::Cancel(TimerId id) {
  Task dropped;  // its captures may run code that locks again
  {
    MutexLock lock(&mutex_);
    const auto time = timer_times_.find(id);
    if (time == timer_times_.end()) return;
    const auto timer = timers_.find(TimerKey(time->second, id));
    CHECK(timer != timers_.end());
    dropped = std::move(timer->second);
    timers_.erase(timer);
    timer_times_.erase(time);
  }
}

void EventLoop::Watch(int fd, uint32_t events, FdHandler* handler) {
  if (registrations_.size() <= static_cast<size_t>(fd)) registrations_.resize(fd + 64);
  Registration& entry = registrations_[fd];
  CHECK(entry.handler == nullptr);
  entry.handler = handler;
  ++entry.generation;
  epoll_event event{};
  event.events = events;
  event.data.u64 = (uint64_t{entry.generation} << 32) | static_cast<uint32_t>(fd);
  OrDie(epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event), "epoll_ctl add");
}

void EventLoop::Change(int fd, uint32_t events) {
  CHECK(registrations_[fd].handler != nullptr);
  epoll_event event{};
  event.events = events;
  event.data.u64 = (uint64_t{registrations_[fd].generation} << 32) | static_cast<uint32_t>(fd);
  OrDie(epoll_ctl(epoll_fd_, EPOLL_CTL_MOD, fd, &event), "epoll_ctl mod");
}

void EventLoop::Unwatch(int fd) {
  registrations_[fd].handler = nullptr;
  OrDie(epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, fd, nullptr), "epoll_ctl del");
}

// How long; whoever posts from now on has to wake the loop, if that is more than nothing.
absl::Duration EventLoop::PrepareToWait() {
  if (!turn_ends_.empty()) return absl::ZeroDuration();
  MutexLock lock(&mutex_);
  if (!mailbox_.empty()) return absl::ZeroDuration();
  absl::Duration next = deadlines_.first();
  if (!timers_.empty()) next = std::min(next, timers_.begin()->first.first);
  const absl::Duration wait = std::max(next - clock_.Monotonic(), absl::ZeroDuration());
  sleeping_ = wait > absl::ZeroDuration();
  return wait;
}

// As precisely as the kernel can: rests are shorter than the millisecond of epoll_wait.
int EventLoop::Wait(absl::Span<epoll_event> events) {
  const auto max_events = static_cast<int>(events.size());
  const absl::Duration wait = PrepareToWait();
  const bool has_end = wait != absl::InfiniteDuration();
  if (has_precise_wait_) {
    const timespec timeout = absl::ToTimespec(wait);
    const int count =
        epoll_pwait2(epoll_fd_, events.data(), max_events, has_end ? &timeout : nullptr, nullptr);
    if (count >= 0 || (errno != ENOSYS && errno != EPERM)) return count;
    has_precise_wait_ = false;  // before Linux 5.11, or forbidden in a container
  }
  const absl::Duration rounded = absl::Ceil(std::min(wait, kLongestWait), absl::Milliseconds(1));
  return epoll_wait(epoll_fd_, events.data(), max_events,
                    has_end ? static_cast<int>(absl::ToInt64Milliseconds(rounded)) : -1);
}

void EventLoop::Run() {
  current_loop = this;
  epoll_event events[kEventsPerTurn];
  while (!stopping_.load()) {
    const int count = Wait(absl::MakeSpan(events));
    if (count < 0 && errno != EINTR) Fatal(absl::StrCat("epoll_wait: ", strerror(errno)));
    now_ = clock_.Monotonic();
    for (int i = 0; i < count; ++i) {
      if (events[i].data.u64 == kWakeMark) {
        uint64_t ignored;
        if (read(wake_fd_, &ignored, sizeof(ignored)) < 0) CHECK(errno == EAGAIN);
        continue;
      }
      const auto fd = static_cast<uint32_t>(events[i].data.u64);
      const Registration entry = registrations_[fd];
      // The descriptor may have been closed, and even reused, by an earlier event of this turn.
      if (entry.handler == nullptr || entry.generation != events[i].data.u64 >> 32) continue;
      entry.handler->OnReady(events[i].events);
    }
    deadlines_.RunDue(now_);
    RunTimers();
    RunMailbox();
    RunTurnEnds();
    released_.clear();
  }
  current_loop = nullptr;
}

void EventLoop::RunTimers() {
  // One at a time: a task may cancel the next one.
  while (true) {
    Task task;
    {
      MutexLock lock(&mutex_);
      sleeping_ = false;
      if (timers_.empty() || timers_.begin()->first.first > now_) return;
      task = std::move(timers_.begin()->second);
      timer_times_.erase(timers_.begin()->first.second);
      timers_.erase(timers_.begin());
    }
    task();
  }
}

void EventLoop::RunMailbox() {
  {
    MutexLock lock(&mutex_);
    running_.swap(mailbox_);
  }
  for (Task& task : running_) {
    task();
    task = nullptr;
  }
  running_.clear();
}

void EventLoop::RunTurnEnds() {
  running_turn_ends_.swap(turn_ends_);
  for (const auto& handler : running_turn_ends_) handler->OnTurnEnd();
  running_turn_ends_.clear();
}

}  // namespace tidemark::server
