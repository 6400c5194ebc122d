#include "bench/tidebench/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "src/base/check.h"

namespace tidemark::bench {

// Values below 2 * kBucketsPerOctave have a bucket each; above, bucket (octave, top kOctaveBits).
Histogram::Histogram() : buckets_(BucketOf(kMaxValue) + 1, 0) {}

size_t Histogram::BucketOf(int64_t value) {
  const auto bits = static_cast<uint64_t>(value);
  const int shift = std::max(0, static_cast<int>(std::bit_width(bits)) - kOctaveBits - 1);
  return static_cast<size_t>((int64_t{shift} << kOctaveBits) + (value >> shift));
}

int64_t Histogram::HighestIn(size_t bucket) {
  const auto index = static_cast<int64_t>(bucket);
  const int64_t shift = std::max<int64_t>(0, (index >> kOctaveBits) - 1);
  const int64_t top = index - (shift << kOctaveBits);
  return ((top + 1) << shift) - 1;
}

void Histogram::Add(int64_t value, int64_t count) {
  CHECK(count >= 0);
  value = std::clamp<int64_t>(value, 0, kMaxValue);
  buckets_[BucketOf(value)] += count;
  if (count == 0) return;
  count_ += count;
  min_ = std::min(min_, value);
  max_ = std::max(max_, value);
  sum_ += static_cast<double>(value) * static_cast<double>(count);
}

void Histogram::Merge(const Histogram& other) {
  for (size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  min_ = std::min(min_, other.min_);
  max_ = std::max(max_, other.max_);
  sum_ += other.sum_;
}

Histogram Histogram::Since(const Histogram& earlier) const {
  if (earlier.count_ > count_) return *this;  // it began anew meanwhile
  Histogram added;
  for (size_t i = 0; i < buckets_.size(); ++i) {
    const int64_t count = buckets_[i] - earlier.buckets_[i];
    if (count < 0) return *this;
    if (count > 0) added.Add(std::min(HighestIn(i), max_), count);
  }
  return added;
}

int64_t Histogram::Percentile(double share) const {
  if (count_ == 0) return 0;
  const auto wanted = std::clamp<int64_t>(
      static_cast<int64_t>(std::ceil(share * static_cast<double>(count_))), 1, count_);
  int64_t seen = 0;
  for (size_t bucket = 0; bucket < buckets_.size(); ++bucket) {
    seen += buckets_[bucket];
    if (seen >= wanted) return std::min(HighestIn(bucket), max_);
  }
  Fatal("a histogram's buckets hold less than its count");
}

}  // namespace tidemark::bench
