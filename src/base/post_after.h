// Work in steps that leave their sequence to others in between.
//
// Stateless; thread-safe, as executors are.
#pragma once

#include <utility>

#include "absl/time/time.h"
#include "src/base/clock.h"
#include "src/base/executor.h"

namespace tidemark {

// Runs `task` after `rest`; without a rest behind what is posted already.
inline void PostAfter(Executor& executor, const Clock& clock, absl::Duration rest, Task task) {
  if (rest <= absl::ZeroDuration()) return executor.Post(std::move(task));
  executor.PostAt(clock.Monotonic() + rest, std::move(task));
}

}  // namespace tidemark
