// Simulated time and threads: every executor of every node runs in one thread, in an order that
// one seed decides and repeats.
//
// Hides the event heap. An executor's queue is served in the order posted; how long a task waits
// is drawn, so executors overtake each other differently with every seed. Time passes between
// tasks, never within one.
// Bound to one thread. The World must outlive the executors and runners made by it.
//
// Invariants:
//  1. Tasks of one executor run in the order posted; its timers run in the order of their times,
//     never before their time. Monotonic time never goes back.
//  2. Every post delays its task by at least a microsecond: RunFor always ends.
//  3. Same seed and same calls: same order, same trace_hash().
//  4. A killed executor runs nothing and accepts nothing any more.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <queue>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "src/base/clock.h"
#include "src/base/executor.h"
#include "tests/sim/env/crash.h"
#include "tests/sim/env/seeded_random.h"

namespace tidemark::sim {

class World {
 public:
  explicit World(uint64_t seed);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  Clock& clock();
  // For the simulated program and its workload; the order of events has a generator of its own.
  Random& random() { return random_; }

  // Executors and runners of one node die together.
  std::unique_ptr<Executor> NewExecutor(const std::string& name, const std::string& node = "");
  // Each task takes a time between the two; they run one after another, taking effect at the end.
  std::unique_ptr<BlockingRunner> NewBlockingRunner(const std::string& name,
                                                    absl::Duration min_latency,
                                                    absl::Duration max_latency,
                                                    const std::string& node = "");
  // Runs `task` outside all executors at `when` (monotonic; now if that has passed).
  void At(absl::Duration when, Task task);

  // The next event; false when there is none. Throws what a task throws, except a SimulatedCrash
  // by fail point or Fatal, which kills the task's node and calls the hook.
  bool RunOne();
  // True when nothing is left to run.
  bool RunUntilIdle(int64_t max_events);
  void RunFor(absl::Duration duration);
  // False when `done` still does not hold after `timeout`.
  bool RunUntil(absl::FunctionRef<bool()> done, absl::Duration timeout);
  // Runs `work` now, in `node`'s name: a crash in it is handled as in RunOne, and gives false.
  bool RunAsNode(const std::string& node, absl::FunctionRef<void()> work);

  // The executor's thread gets no CPU for a while: what is queued runs afterwards, in order.
  void Stall(Executor& executor, absl::Duration duration);

  // Drops what is queued, as the end of a process does.
  void Kill(Executor& executor);
  void KillNode(const std::string& node);
  // After the node's executors were killed; may destroy the node and At() its restart.
  using CrashHook = absl::AnyInvocable<void(const std::string& node, const SimulatedCrash&)>;
  void SetOnCrash(CrashHook hook) { on_crash_ = std::move(hook); }

  // Mixes into the trace what happened.
  void Note(absl::string_view what);
  uint64_t trace_hash() const { return trace_hash_; }
  int64_t events_run() const { return events_run_; }
  std::vector<std::string> recent_events() const;  // the last 200

 private:
  struct Sequence;
  class SimClock;
  class SimExecutor;
  class SimRunner;
  struct Event {
    absl::Duration when;
    uint64_t tie_break;
    uint64_t number;
    bool is_timer;
    std::shared_ptr<Sequence> sequence;
    bool operator>(const Event& other) const;
  };
  struct Recent {
    absl::Duration when;
    std::shared_ptr<const std::string> what;
  };

  std::shared_ptr<Sequence> NewSequence(const std::string& name, const std::string& node);
  absl::Duration DrawDelay();
  void Schedule(std::shared_ptr<Sequence> sequence, absl::Duration when, bool is_timer);
  void Post(const std::shared_ptr<Sequence>& sequence, absl::Duration when, Task task);
  TimerId PostTimer(const std::shared_ptr<Sequence>& sequence, absl::Duration when,
                    absl::Duration lateness, Task task);
  // Removes events whose task is gone and puts off those of stalled executors, until the next one
  // can run; false when no event is left.
  bool FindNext();
  void RunInSequence(Sequence& sequence, Task task);
  void Crashed(const std::string& node, const SimulatedCrash& crash);
  void MixTrace(absl::string_view what);
  void Remember(std::shared_ptr<const std::string> what);

  SeededRandom random_;
  SeededRandom schedule_random_;
  absl::Duration max_delay_;
  uint64_t stall_one_in_ = 0;

  absl::Duration now_;
  std::unique_ptr<SimClock> clock_;
  std::priority_queue<Event, std::vector<Event>, std::greater<Event>> events_;
  std::vector<std::weak_ptr<Sequence>> sequences_;
  std::shared_ptr<Sequence> outside_;  // runs At()
  const Sequence* current_ = nullptr;
  uint64_t last_event_number_ = 0;
  TimerId last_timer_id_ = 0;
  CrashHook on_crash_;

  int64_t events_run_ = 0;
  uint64_t trace_hash_ = 0;
  std::deque<Recent> recent_;
};

}  // namespace tidemark::sim
