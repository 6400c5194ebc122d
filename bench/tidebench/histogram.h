// Counts of values in buckets whose width grows with the value, for percentiles of any number of
// latencies in constant memory (the idea of HdrHistogram).
//
// Each power of two is cut into kBucketsPerOctave: what it says is at most 1/256 above the truth
// and never below it. Pure; a value.
#pragma once

#include <cstdint>
#include <vector>

namespace tidemark::bench {

class Histogram {
 public:
  static constexpr int kOctaveBits = 8;
  static constexpr int64_t kBucketsPerOctave = int64_t{1} << kOctaveBits;
  static constexpr int kMaxBits = 44;  // above 4 hours of nanoseconds counts as that
  static constexpr int64_t kMaxValue = (int64_t{1} << kMaxBits) - 1;

  Histogram();

  void Add(int64_t value, int64_t count = 1);  // negative counts as 0
  void Merge(const Histogram& other);
  // What was added to a copy of `earlier` to get this; all of it when this never was one. Its
  // extremes are those of its buckets.
  Histogram Since(const Histogram& earlier) const;

  int64_t count() const { return count_; }
  int64_t max() const { return max_; }
  int64_t min() const { return count_ == 0 ? 0 : min_; }
  double mean() const { return count_ == 0 ? 0 : sum_ / static_cast<double>(count_); }
  // The least value that at least this share (0 to 1) of the values do not exceed; 0 when empty.
  int64_t Percentile(double share) const;

 private:
  static size_t BucketOf(int64_t value);
  static int64_t HighestIn(size_t bucket);

  std::vector<int64_t> buckets_;
  int64_t count_ = 0;
  int64_t min_ = kMaxValue;
  int64_t max_ = 0;
  double sum_ = 0;
};

}  // namespace tidemark::bench
