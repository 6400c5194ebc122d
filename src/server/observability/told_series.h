// Counts that event loops make and Prometheus is told of when somebody scrapes.
//
// Hides the difference since the last time. The library's own series take a lock, or try again
// until nobody came between, for each observation: together some per cent of a request.
// Add and Observe: any thread; Tell: one at a time.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/histogram.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/time/time.h"

namespace tidemark::server {

class ToldCounter {
 public:
  explicit ToldCounter(prometheus::Counter& series) : series_(series) {}

  void Add() { count_.fetch_add(1, std::memory_order_relaxed); }
  void Tell() {
    const uint64_t count = count_.load(std::memory_order_relaxed);
    series_.Increment(static_cast<double>(count - std::exchange(told_, count)));
  }

 private:
  prometheus::Counter& series_;
  std::atomic<uint64_t> count_{0};
  uint64_t told_ = 0;
};

class ToldHistogram {
 public:
  // `bounds_seconds`: those of the series, rising.
  ToldHistogram(prometheus::Histogram& series, const std::vector<double>& bounds_seconds);

  void Observe(absl::Duration took);
  void Tell();

 private:
  prometheus::Histogram& series_;
  std::vector<int64_t> bounds_ns_;  // a bucket holds what is no more
  std::unique_ptr<std::atomic<uint64_t>[]> counts_;
  std::atomic<int64_t> sum_ns_{0};
  std::vector<uint64_t> told_counts_;
  int64_t told_sum_ns_ = 0;
};

}  // namespace tidemark::server
