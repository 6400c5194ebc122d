#include "src/server/observability/told_series.h"

#include <algorithm>
#include <cmath>

#include "src/base/failpoint.h"

namespace tidemark::server {

ToldHistogram::ToldHistogram(prometheus::Histogram& series,
                             const std::vector<double>& bounds_seconds)
    : series_(series),
      counts_(std::make_unique<std::atomic<uint64_t>[]>(bounds_seconds.size() + 1)),
      told_counts_(bounds_seconds.size() + 1) {
  for (const double bound : bounds_seconds) bounds_ns_.push_back(std::llround(bound * 1e9));
}

void ToldHistogram::Observe(absl::Duration took) {
  const int64_t ns = absl::ToInt64Nanoseconds(took);
  const auto bucket = std::lower_bound(bounds_ns_.begin(), bounds_ns_.end(), ns);
  counts_[static_cast<size_t>(bucket - bounds_ns_.begin())].fetch_add(1, std::memory_order_relaxed);
  sum_ns_.fetch_add(ns, std::memory_order_relaxed);
}

void ToldHistogram::Tell() {
  std::vector<double> more(told_counts_.size());
  for (size_t i = 0; i < more.size(); ++i) {
    const uint64_t count = counts_[i].load(std::memory_order_relaxed);
    more[i] = static_cast<double>(count - told_counts_[i]);
    if (!PLANTED_BUG("metrics_tell_all_again")) told_counts_[i] = count;
  }
  const int64_t sum_ns = sum_ns_.load(std::memory_order_relaxed);
  const int64_t more_ns = sum_ns - std::exchange(told_sum_ns_, sum_ns);
  series_.ObserveMultiple(more, static_cast<double>(more_ns) / 1e9);
}

}  // namespace tidemark::server
