// A BlockingRunner without a thread: blocks the caller, who may have a thread for nothing else (the
// journal), or no other work (tools, benchmarks, tests).
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
