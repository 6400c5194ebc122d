#include "src/kvstore/checkpoint/read_back_pace.h"

#include <chrono>

#include "gtest/gtest.h"

namespace tidemark::kvstore {
namespace {

constexpr ReadBackPace::Rates kRates = {
    .bytes_per_second = 512 << 10, .hurried_bytes_per_second = 1 << 30, .at_once_bytes = 64 << 10};

double SecondsFor(ReadBackPace& pace, int payments) {
  const auto begun = std::chrono::steady_clock::now();
  for (int i = 0; i < payments; ++i) EXPECT_TRUE(pace.Pay());
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
}

TEST(ReadBackPaceTest, IsGentleUntilItHurries) {
  ReadBackPace pace(kRates);  // 0.125 s a payment
  EXPECT_GE(SecondsFor(pace, 2), 0.1) << "the first may be free";
  pace.Hurry(true);
  EXPECT_LT(SecondsFor(pace, 32), 2) << "half of what gentle ones would take";
  pace.Hurry(false);
  EXPECT_GE(SecondsFor(pace, 2), 0.1);
}

TEST(ReadBackPaceTest, InterruptedItPaysNoMore) {
  ReadBackPace pace(kRates);
  EXPECT_FALSE(pace.is_interrupted());
  pace.Interrupt();
  EXPECT_TRUE(pace.is_interrupted());
  EXPECT_FALSE(pace.Pay());
}

}  // namespace
}  // namespace tidemark::kvstore
