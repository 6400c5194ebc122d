#include "src/server/observability/log_sampler.h"

#include "absl/hash/hash.h"
#include "src/base/failpoint.h"

namespace tidemark::server {

bool LogSampler::Allows(LogLevel level, absl::string_view message, absl::Duration now) {
  Counter& counter = counters_[absl::HashOf(level, message) % kCounters];
  const int64_t second = absl::ToInt64Seconds(now);
  if (counter.second.exchange(second, std::memory_order_relaxed) != second) {
    counter.count.store(0, std::memory_order_relaxed);
  }
  const int64_t before = counter.count.fetch_add(1, std::memory_order_relaxed);
  return before < kFirst || (before - kFirst + 1) % kThenEvery == 0 ||
         PLANTED_BUG("log_repeats_without_bound");
}

}  // namespace tidemark::server
