// A BlockingRunner that is one thread.
//
// Thread-safe. Destruction first runs everything that was given before: blocking work is finite,
// and a write that was accepted should reach the disk.
#pragma once

#include <string>
#include <utility>

#include "absl/synchronization/notification.h"
#include "src/base/executor.h"
#include "src/base/posix_clock.h"
#include "src/base/thread_executor.h"

namespace tidemark {

class ThreadBlockingRunner : public BlockingRunner {
 public:
  explicit ThreadBlockingRunner(const std::string& name) : thread_(name, clock_) {}
  ~ThreadBlockingRunner() override {
    absl::Notification drained;
    thread_.Post([&drained] { drained.Notify(); });
    drained.WaitForNotification();
  }

  void Run(Task task) override { thread_.Post(std::move(task)); }

 private:
  PosixClock clock_;
  ThreadExecutor thread_;
};

}  // namespace tidemark
