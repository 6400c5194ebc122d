// Which log lines are written when the same is said again and again, as etcd's logger decides: of
// a level and message the first hundred in a second, then every hundredth.
//
// Hides the counters: few, in fixed memory, shared by messages whose hashes agree. A flood of
// clients that all give up, or all fail their handshake, then costs no formatting.
// Thread-safe, without locks: beside the turn of a second a line more or less may go.
// Source: zap's sampler, with the numbers that etcd gives it (contract 1).
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "src/base/log.h"

namespace tidemark::server {

class LogSampler {
 public:
  static constexpr int64_t kFirst = 100;
  static constexpr int64_t kThenEvery = 100;

  // `now` is monotonic.
  bool Allows(LogLevel level, absl::string_view message, absl::Duration now);

 private:
  struct Counter {
    std::atomic<int64_t> second{-1};
    std::atomic<int64_t> count{0};
  };
  static constexpr size_t kCounters = 1024;

  std::array<Counter, kCounters> counters_;
};

}  // namespace tidemark::server
