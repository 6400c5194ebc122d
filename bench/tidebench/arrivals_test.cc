#include "bench/tidebench/arrivals.h"

#include <cmath>

#include "gtest/gtest.h"

namespace tidemark::bench {
namespace {

TEST(ArrivalsTest, EvenOnesNeverDrift) {
  Arrivals arrivals(3, Arrivals::Spacing::kEven, 1);  // a third of a second is no whole number
  arrivals.StartAt(7'000);
  for (int64_t i = 1; i <= 3'000'000; ++i, arrivals.Take()) {
    const auto exact = static_cast<int64_t>(static_cast<double>(i) * 1e9 / 3);
    ASSERT_NEAR(static_cast<double>(arrivals.next_ns() - 7'000), static_cast<double>(exact), 1)
        << i;
  }
}

TEST(ArrivalsTest, PeriodicOnesBeginAfterHalfAPeriod) {
  Arrivals arrivals = Arrivals::Every(2);
  arrivals.StartAt(7'000'000'000);
  for (const int64_t second : {8, 10, 12}) {
    EXPECT_EQ(arrivals.next_ns(), second * 1'000'000'000);
    arrivals.Take();
  }
}

TEST(ArrivalsTest, PoissonOnesKeepTheRateAndSpread) {
  Arrivals arrivals(10'000, Arrivals::Spacing::kPoisson, 42);
  arrivals.StartAt(0);
  constexpr int64_t kCount = 200'000;
  double squares = 0;
  int64_t last = 0;
  for (int64_t i = 0; i < kCount; ++i, arrivals.Take()) {
    const double gap = static_cast<double>(arrivals.next_ns() - last);
    last = arrivals.next_ns();
    EXPECT_GE(gap, 0);
    squares += gap * gap;
  }
  const double mean = static_cast<double>(last) / kCount;
  EXPECT_NEAR(mean, 100'000, 1'000);
  // Of exponential gaps the standard deviation is the mean.
  EXPECT_NEAR(std::sqrt(squares / kCount - mean * mean), 100'000, 2'000);
}

TEST(ArrivalsTest, TheSameSeedGivesTheSameTimes) {
  Arrivals one(1'000, Arrivals::Spacing::kPoisson, 5);
  Arrivals same(1'000, Arrivals::Spacing::kPoisson, 5);
  Arrivals other(1'000, Arrivals::Spacing::kPoisson, 6);
  for (Arrivals* arrivals : {&one, &same, &other}) arrivals->StartAt(0);
  EXPECT_NE(one.next_ns(), other.next_ns());
  for (int i = 0; i < 100; ++i, one.Take(), same.Take()) ASSERT_EQ(one.next_ns(), same.next_ns());
}

}  // namespace
}  // namespace tidemark::bench
