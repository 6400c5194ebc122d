// An Executor that is one thread with a mailbox.
//
// Hides the thread: it takes everything waiting at once and is woken only when it is idle, so a
// busy executor costs its posters one short lock. Thread-safe.
//
// Invariants:
//  1. Tasks run in the order posted; a timer runs between two tasks, never before its time.
//  2. After Stop() returned no task runs; what was waiting, and what is posted later, is destroyed
//     without running.
//  3. The mailbox itself has no limit: whoever posts on behalf of clients is bounded by the
//     admission of requests (limits on requests and bytes in flight), not here.
#pragma once

#include <atomic>
#include <latch>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "src/base/clock.h"
#include "src/base/executor.h"
#include "src/base/mutex.h"
#include "src/base/thread_urgency.h"

namespace tidemark {

class ThreadExecutor : public Executor {
 public:
  // The kernel shows the first 15 characters of the name. The clock must outlive the executor.
  ThreadExecutor(const std::string& name, const Clock& clock,
                 ThreadUrgency urgency = ThreadUrgency::kServing);
  ~ThreadExecutor() override;  // stops; not to be called on the executor's own thread

  void Post(Task task) override;
  TimerId PostAt(absl::Duration when, Task task) override;
  void Cancel(TimerId id) override;
  bool IsCurrent() const override;

  // Returns when everything posted before has run. Not from a task, and not after Stop.
  void Drain();
  // Waits for the task that runs, unless called from it. May be called again.
  void Stop();

 private:
  using TimerKey = std::pair<absl::Duration, TimerId>;

  void Loop(ThreadUrgency urgency);
  void RunTasks(std::vector<Task>& tasks);
  void RunDueTimers();
  void WaitForWork(std::vector<Task>& tasks);
  // True: the caller must call Wake, without the lock.
  bool MustWake() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Wake();

  const Clock& clock_;
  std::atomic<bool> stopped_{false};  // written under mutex_

  Mutex mutex_;
  CondVar work_;
  bool idle_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<Task> mailbox_ ABSL_GUARDED_BY(mutex_);
  absl::btree_map<TimerKey, Task> timers_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<TimerId, absl::Duration> timer_times_ ABSL_GUARDED_BY(mutex_);
  TimerId last_timer_id_ ABSL_GUARDED_BY(mutex_) = 0;

  std::atomic<int> wakers_{0};  // between MustWake and the end of Wake
  std::latch ended_{1};
  std::thread thread_;  // last: starts when everything else exists
};

}  // namespace tidemark
