// One thread that waits for sockets, timers and tasks, and runs them one at a time.
//
// Hides epoll, the mailbox other threads post to, and the timer queue. A turn is: events of
// descriptors, due deadlines and timers, posted tasks, then the turn's end (where connections write
// once).
// Post, PostAt, Cancel, IsCurrent and Stop are thread-safe; the rest belongs to the loop's thread.
//
// 1. A poster wakes the loop only when it sleeps, so a batch of posts costs one wake-up.
// 2. Objects given to ReleaseLater outlive everything that runs in the same turn.
#pragma once

#include <sys/epoll.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "src/base/clock.h"
#include "src/base/executor.h"
#include "src/base/mutex.h"
#include "src/server/transport/deadline_heap.h"

namespace tidemark::server {

class FdHandler {
 public:
  virtual ~FdHandler() = default;
  virtual void OnReady(uint32_t epoll_events) = 0;
};

class TurnEndHandler {
 public:
  virtual ~TurnEndHandler() = default;
  virtual void OnTurnEnd() = 0;
};

class EventLoop final : public Executor {
 public:
  EventLoop(const Clock& clock, std::string name);
  ~EventLoop() override;  // REQUIRES: never started, or joined

  void Start();
  // Instead of Start: the calling thread is the loop's until Stop.
  void RunOnThisThread() { Run(); }
  // The loop ends after its current turn; tasks posted later stay in the mailbox.
  void Stop();
  void Join();

  void Post(Task task) override;
  TimerId PostAt(absl::Duration when, Task task) override;
  void Cancel(TimerId id) override;
  bool IsCurrent() const override;
  size_t timer_count() const ABSL_LOCKS_EXCLUDED(mutex_);  // any thread

  void Watch(int fd, uint32_t events, FdHandler* handler);
  void Change(int fd, uint32_t events);
  void Unwatch(int fd);
  // What waits for less waits as long.
  absl::Duration shortest_wait() const {
    return has_precise_wait_ ? absl::ZeroDuration() : absl::Milliseconds(1);
  }
  // Cheaper than PostAt and Cancel, for what the loop's own objects wait for.
  DeadlineHeap& deadlines() { return deadlines_; }
  // Called once at the end of this turn (or of the next, when called during a turn's end).
  void AtTurnEnd(std::shared_ptr<TurnEndHandler> handler) {
    turn_ends_.push_back(std::move(handler));
  }
  void ReleaseLater(std::shared_ptr<void> object) { released_.push_back(std::move(object)); }
  // Time at which this turn began.
  absl::Duration now() const { return now_; }
  const Clock& clock() const { return clock_; }
  // Scratch space for reads; valid until the handler returns.
  absl::Span<char> read_buffer() { return absl::MakeSpan(read_buffer_); }

 private:
  struct Registration {
    FdHandler* handler = nullptr;
    uint32_t generation = 0;
  };
  using TimerKey = std::pair<absl::Duration, TimerId>;

  void Run();
  void Wake();
  absl::Duration PrepareToWait();
  int Wait(absl::Span<epoll_event> events);
  void RunTimers();
  void RunMailbox();
  void RunTurnEnds();

  const Clock& clock_;
  const std::string name_;
  const int epoll_fd_;
  const int wake_fd_;
  std::thread thread_;
  std::atomic<bool> stopping_{false};
  bool has_precise_wait_ = true;  // until the kernel says otherwise
  absl::Duration now_;

  mutable Mutex mutex_;
  bool sleeping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<Task> mailbox_ ABSL_GUARDED_BY(mutex_);
  std::map<TimerKey, Task> timers_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<TimerId, absl::Duration> timer_times_ ABSL_GUARDED_BY(mutex_);
  TimerId last_timer_id_ ABSL_GUARDED_BY(mutex_) = 0;

  DeadlineHeap deadlines_;
  std::vector<Task> running_;
  std::vector<Registration> registrations_;  // by descriptor
  std::vector<std::shared_ptr<TurnEndHandler>> turn_ends_;
  std::vector<std::shared_ptr<TurnEndHandler>> running_turn_ends_;
  std::vector<std::shared_ptr<void>> released_;
  std::vector<char> read_buffer_;
};

}  // namespace tidemark::server
