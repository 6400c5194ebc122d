// A BlockingRunner that is one thread, in the background of those that serve requests.
//
// Thread-safe. Destruction first runs everything that was given before: blocking work is finite,
// and a write that was accepted should reach the disk.
#pragma once

#include <latch>
#include <string>
#include <utility>

#include "src/base/executor.h"
#include "src/base/posix_clock.h"
#include "src/base/thread_executor.h"

namespace tidemark {

class ThreadBlockingRunner : public BlockingRunner {
 public:
  explicit ThreadBlockingRunner(const std::string& name)
      : thread_(name, clock_, ThreadUrgency::kBackground) {}
  ~ThreadBlockingRunner() override {
    std::latch drained(1);
    thread_.Post([&drained] { drained.count_down(); });
    drained.wait();
  }

  void Run(Task task) override { thread_.Post(std::move(task)); }

 private:
  PosixClock clock_;
  ThreadExecutor thread_;
};

}  // namespace tidemark
