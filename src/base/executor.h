// A sequence: tasks posted to one Executor run one after another, in the order posted.
//
// Core types belong to one Executor and need no locks. In production an Executor is a thread with
// a mailbox (or a client-port event loop); in the simulator all Executors share one thread, one
// event heap and simulated time.
// Thread-safe: Post, PostAt and Cancel may be called from anywhere.
#pragma once

#include <cstdint>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "src/base/check.h"

namespace tidemark {

using Task = absl::AnyInvocable<void()>;
using TimerId = uint64_t;

class Executor {
 public:
  virtual ~Executor() = default;

  // Runs `task` after all tasks posted before it. Never runs it inline.
  virtual void Post(Task task) = 0;

  // Runs `task` no earlier than `when` (on the Clock's monotonic scale).
  virtual TimerId PostAt(absl::Duration when, Task task) = 0;

  // Afterwards the timer's task will not start. Unknown or finished ids are ignored.
  virtual void Cancel(TimerId id) = 0;

  // True when the caller runs on this sequence.
  virtual bool IsCurrent() const = 0;
};

// Runs tasks that may block on the disk, keeping the order per runner. `done` of each task is the
// task's own business (it posts back to the sequence that waits for it).
class BlockingRunner {
 public:
  virtual ~BlockingRunner() = default;
  virtual void Run(Task task) = 0;
};

}  // namespace tidemark
