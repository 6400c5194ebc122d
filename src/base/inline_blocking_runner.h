// A BlockingRunner without a thread: blocks the caller. For tools, benchmarks and tests.
//
// Thread class: bound to the sequence that uses it.
#pragma once

#include "src/base/executor.h"

namespace tidemark {

class InlineBlockingRunner : public BlockingRunner {
 public:
  void Run(Task task) override { task(); }
};

}  // namespace tidemark
