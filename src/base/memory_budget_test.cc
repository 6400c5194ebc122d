#include "src/base/memory_budget.h"

#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace tidemark {
namespace {

constexpr MemoryAccount kReads = MemoryAccount::kReads;

TEST(MemoryBudgetTest, SharesAddUpToTheLimit) {
  const MemoryBudget budget(1000);
  EXPECT_EQ(budget.limit_bytes(), 1000);
  EXPECT_EQ(budget.share_bytes(MemoryAccount::kValues), 800);
  EXPECT_EQ(budget.share_bytes(MemoryAccount::kIndex), 800);
  EXPECT_EQ(budget.share_bytes(kReads), 100);
  EXPECT_EQ(budget.share_bytes(MemoryAccount::kPinned), 100);
  EXPECT_EQ(budget.share_bytes(MemoryAccount::kWatches), 50);
  EXPECT_EQ(budget.share_bytes(MemoryAccount::kConnections), 50);
}

TEST(MemoryBudgetTest, RefusesWhatDoesNotFit) {
  MemoryBudget budget(1000);
  MemoryCharge first(budget, kReads);
  EXPECT_TRUE(first.TryRaise(60));
  MemoryCharge second(budget, kReads);
  EXPECT_FALSE(second.TryRaise(41));
  EXPECT_EQ(second.bytes(), 0);
  EXPECT_EQ(budget.used_bytes(kReads), 60);
  EXPECT_TRUE(second.TryRaise(40));
  EXPECT_FALSE(first.TryRaise(61));
  EXPECT_EQ(first.bytes(), 60);
  EXPECT_EQ(budget.free_bytes(kReads), 0);
}

TEST(MemoryBudgetTest, KeepsAPartOfTheShareFree) {
  MemoryBudget budget(1000);
  MemoryCharge charge(budget, kReads);
  EXPECT_FALSE(charge.TryRaise(91, /*keep_free_bytes=*/10));
  EXPECT_TRUE(charge.TryRaise(90, /*keep_free_bytes=*/10));
  EXPECT_TRUE(MemoryCharge(budget, kReads).TryRaise(10));
}

TEST(MemoryBudgetTest, GivesBackWhatIsNoLongerHeld) {
  MemoryBudget budget(1000);
  {
    MemoryCharge charge(budget, kReads);
    charge.Set(70);
    MemoryCharge moved = std::move(charge);
    EXPECT_EQ(budget.used_bytes(kReads), 70);
    moved.Set(30);
    EXPECT_EQ(budget.used_bytes(kReads), 30);
    MemoryCharge other(budget, kReads);
    other.Set(5);
    other = std::move(moved);
    EXPECT_EQ(budget.used_bytes(kReads), 30);
  }
  EXPECT_EQ(budget.used_bytes(kReads), 0);
}

TEST(MemoryBudgetTest, PartnersTakeFromOneShare) {
  MemoryBudget budget(1000);
  MemoryCharge segment(budget, MemoryAccount::kValues);
  segment.Set(80);
  EXPECT_EQ(budget.free_bytes(MemoryAccount::kIndex), 720);
  segment.MoveTo(MemoryAccount::kPinned);
  EXPECT_EQ(budget.used_bytes(MemoryAccount::kValues), 0);
  EXPECT_EQ(budget.free_bytes(kReads), 20);
  EXPECT_FALSE(MemoryCharge(budget, kReads).TryRaise(21));
}

TEST(MemoryBudgetTest, CountsWhatCannotBeRefused) {
  MemoryBudget budget(1000);
  MemoryCharge charge(budget, kReads);
  charge.Set(500);
  EXPECT_EQ(budget.free_bytes(kReads), -400);
  EXPECT_FALSE(budget.HasRoomFor(kReads, 0));
  charge.Set(0);
  EXPECT_TRUE(budget.HasRoomFor(kReads, 100));
}

TEST(MemoryBudgetTest, ChargesAreAddedUp) {
  MemoryBudget budget(1000);
  MemoryCharge sum;
  for (int i = 0; i < 3; ++i) {
    MemoryCharge part(budget, kReads);
    part.Set(10);
    sum.Absorb(std::move(part));
  }
  EXPECT_EQ(sum.bytes(), 30);
  EXPECT_EQ(budget.used_bytes(kReads), 30);
  sum = MemoryCharge();
  EXPECT_EQ(budget.used_bytes(kReads), 0);
}

TEST(MemoryBudgetTest, WithoutABudgetNothingIsCounted) {
  MemoryCharge charge;
  EXPECT_TRUE(charge.TryRaise(int64_t{1} << 50));
  charge.Set(7);
  EXPECT_EQ(charge.bytes(), 0);
}

TEST(MemoryBudgetTest, SmallChargesAreToldInSteps) {
  MemoryBudget budget;
  {
    BatchedCharge sum(budget, MemoryAccount::kConnections);
    sum.Add(BatchedCharge::kStepBytes - 1);
    EXPECT_EQ(budget.used_bytes(MemoryAccount::kConnections), 0);
    sum.Add(1);
    EXPECT_EQ(budget.used_bytes(MemoryAccount::kConnections), BatchedCharge::kStepBytes);
    sum.Add(-BatchedCharge::kStepBytes);
    EXPECT_EQ(budget.used_bytes(MemoryAccount::kConnections), 0);
    sum.Add(3);
  }
  EXPECT_EQ(budget.used_bytes(MemoryAccount::kConnections), 3);
}

// However many ask at once, together they never get more than the share.
TEST(MemoryBudgetTest, ThreadsShareTheLimit) {
  MemoryBudget budget(100000);
  std::atomic<int64_t> held{0};
  std::atomic<int64_t> most{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20000; ++i) {
        MemoryCharge charge(budget, kReads);
        if (!charge.TryRaise(4000)) continue;
        const int64_t now = held.fetch_add(4000) + 4000;
        int64_t seen = most.load();
        while (seen < now && !most.compare_exchange_weak(seen, now)) {
        }
        held.fetch_sub(4000);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(most.load(), 10000);
  EXPECT_GE(most.load(), 4000);
  EXPECT_EQ(budget.used_bytes(kReads), 0);
}

}  // namespace
}  // namespace tidemark
