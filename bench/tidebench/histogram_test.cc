#include "bench/tidebench/histogram.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "bench/tidebench/small_random.h"
#include "gtest/gtest.h"

namespace tidemark::bench {
namespace {

// By definition: the least value that at least this share of the sorted values do not exceed.
int64_t Exact(std::vector<int64_t> values, double share) {
  std::sort(values.begin(), values.end());
  const auto rank = static_cast<int64_t>(std::ceil(share * static_cast<double>(values.size())));
  return values[std::max<int64_t>(rank, 1) - 1];
}

constexpr double kShares[] = {0, 0.001, 0.25, 0.5, 0.9, 0.99, 0.999, 0.9999, 1};

void ExpectLikeSorting(const std::vector<int64_t>& values, uint64_t seed) {
  Histogram histogram;
  for (const int64_t value : values) histogram.Add(value);
  for (const double share : kShares) {
    const int64_t exact = Exact(values, share);
    EXPECT_GE(histogram.Percentile(share), exact) << share << ", seed " << seed;
    EXPECT_LE(histogram.Percentile(share), exact + exact / 256) << share << ", seed " << seed;
  }
  EXPECT_EQ(histogram.count(), static_cast<int64_t>(values.size()));
  EXPECT_EQ(histogram.max(), *std::max_element(values.begin(), values.end()));
  EXPECT_EQ(histogram.min(), *std::min_element(values.begin(), values.end()));
}

TEST(HistogramTest, SaysWhatSortingSaysWithinOneIn256) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SmallRandom random(seed);
    std::vector<int64_t> values;
    const int64_t count = 1 + random.Below(20'000);
    for (int64_t i = 0; i < count; ++i) {
      values.push_back(static_cast<int64_t>(std::exp(random.Fraction() * 30)));  // all sizes
    }
    ExpectLikeSorting(values, seed);
  }
}

TEST(HistogramTest, SmallValuesAreExact) {
  std::vector<int64_t> values;
  for (int64_t value = 0; value < 512; ++value) values.push_back(value);
  Histogram histogram;
  for (const int64_t value : values) histogram.Add(value);
  for (const double share : kShares) EXPECT_EQ(histogram.Percentile(share), Exact(values, share));
}

TEST(HistogramTest, EdgesOfEachOctave) {
  for (int bits = 1; bits < Histogram::kMaxBits; ++bits) {
    const int64_t power = int64_t{1} << bits;
    ExpectLikeSorting({power - 1}, 0);
    ExpectLikeSorting({power}, 0);
    ExpectLikeSorting({power - 1, power, power + 1}, 0);
  }
}

TEST(HistogramTest, EmptyAndOutOfRange) {
  Histogram histogram;
  EXPECT_EQ(histogram.Percentile(0.99), 0);
  EXPECT_EQ(histogram.min(), 0);
  EXPECT_EQ(histogram.mean(), 0);
  histogram.Add(-5);
  histogram.Add(INT64_MAX);
  EXPECT_EQ(histogram.Percentile(0), 0);
  EXPECT_EQ(histogram.Percentile(1), Histogram::kMaxValue);
}

TEST(HistogramTest, MergingIsAddingAll) {
  Histogram all;
  Histogram low;
  Histogram high;
  for (int64_t i = 1; i <= 1000; ++i) {
    all.Add(i * 1000, i);
    (i <= 500 ? low : high).Add(i * 1000, i);
  }
  low.Merge(high);
  EXPECT_EQ(low.count(), all.count());
  EXPECT_DOUBLE_EQ(low.mean(), all.mean());
  for (const double share : kShares) EXPECT_EQ(low.Percentile(share), all.Percentile(share));
}

TEST(HistogramTest, SinceIsWhatWasAdded) {
  Histogram histogram;
  for (int i = 0; i < 1000; ++i) histogram.Add(i * 1000);
  const Histogram earlier = histogram;
  Histogram added;
  for (int i = 0; i < 100; ++i) {
    histogram.Add(5'000'000 + i);
    added.Add(5'000'000 + i);
  }
  const Histogram since = histogram.Since(earlier);
  EXPECT_EQ(since.count(), 100);
  EXPECT_EQ(since.Percentile(0.5), added.Percentile(0.5));
  EXPECT_EQ(since.Percentile(0.01), added.Percentile(0.01));
  // One that is no longer a part of it was reset.
  EXPECT_EQ(added.Since(earlier).count(), 100);
}

}  // namespace
}  // namespace tidemark::bench
