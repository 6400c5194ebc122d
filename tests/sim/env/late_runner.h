// Runs each job of a start after a time of its own, so that partitions are loaded one after another
// in any order, while others already serve.
//
// A job runs in one step, in the name of the node whose executor it is.
// Bound to the simulator's one thread; what it is given outlives it.
#pragma once

#include <utility>

#include "absl/time/time.h"
#include "src/base/clock.h"
#include "src/base/executor.h"
#include "src/base/parallel_runner.h"
#include "src/base/random.h"
#include "tests/sim/env/seeded_random.h"

namespace tidemark::sim {

class LateRunner final : public ParallelRunner {
 public:
  LateRunner(Executor& executor, Clock& clock, Random& random, absl::Duration delay_max)
      : executor_(executor), clock_(clock), random_(random), delay_max_(delay_max) {}

  void ForEach(size_t count, absl::FunctionRef<void(size_t)> piece) override {
    for (size_t i = 0; i < count; ++i) piece(i);
  }
  void Start(Task job) override {
    const auto delay = absl::Microseconds(
        1 + DrawBelow(random_, static_cast<uint64_t>(absl::ToInt64Microseconds(delay_max_)) + 1));
    executor_.PostAt(clock_.Monotonic() + delay, std::move(job));
  }

 private:
  Executor& executor_;
  Clock& clock_;
  Random& random_;
  const absl::Duration delay_max_;
};

}  // namespace tidemark::sim
