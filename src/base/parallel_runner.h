// Work that several cores do together: many pieces, each on its own, and a wait for all of them.
//
// Core types take one as an argument, so that production uses every core and the simulator one
// thread: what they compute must not depend on how many pieces run at a time, or on their order.
// Thread-safe.
#pragma once

#include <cstddef>

#include "absl/functional/function_ref.h"
#include "src/base/executor.h"

namespace tidemark {

class ParallelRunner {
 public:
  virtual ~ParallelRunner() = default;

  // Calls piece(0) to piece(count - 1), each once, and returns when all have returned. Piece i
  // begins after those before it have begun; the caller's thread takes part.
  virtual void ForEach(size_t count, absl::FunctionRef<void(size_t)> piece) = 0;

  // Runs a job that may take long and block, apart from the caller's sequence. It may call ForEach.
  virtual void Start(Task job) = 0;
};

// Without threads: everything at once, on the caller's. For the simulator, tools and tests.
class InlineParallelRunner final : public ParallelRunner {
 public:
  void ForEach(size_t count, absl::FunctionRef<void(size_t)> piece) override {
    for (size_t i = 0; i < count; ++i) piece(i);
  }
  void Start(Task job) override { job(); }
};

}  // namespace tidemark
