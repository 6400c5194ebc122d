#include "bench/tidebench/revision_clock.h"

#include <vector>

#include "gtest/gtest.h"

namespace tidemark::bench {
namespace {

class RevisionClockTest : public ::testing::Test, private DeliveryListener {
 protected:
  void OnDelivered(int64_t due_ns, int64_t arrived_ns) override {
    waits_ns_.push_back(arrived_ns - due_ns);
  }
  void OnWrongEvent(const absl::Status&) override { ++wrong_; }

  RevisionClock clock_{2, this};
  std::vector<int64_t> waits_ns_;
  int wrong_ = 0;
};

TEST_F(RevisionClockTest, CountsFromWhenTheWriteWasDue) {
  clock_.Arrived(5, {1, 1}, 30);  // before its answer
  EXPECT_FALSE(clock_.is_settled());
  clock_.Written(5, {1, 1}, 10);
  EXPECT_EQ(waits_ns_, std::vector<int64_t>({20}));
  EXPECT_FALSE(clock_.is_settled());
  clock_.Arrived(5, {1, 1}, 60);
  EXPECT_EQ(waits_ns_, std::vector<int64_t>({20, 50}));
  EXPECT_TRUE(clock_.is_settled());
  EXPECT_EQ(wrong_, 0);
}

TEST_F(RevisionClockTest, AnInventedEventDoesNotStandForOneThatIsMissing) {
  clock_.Written(5, {1, 1}, 10);
  clock_.Arrived(5, {1, 1}, 20);
  clock_.Arrived(6, {1, 2}, 20);
  EXPECT_FALSE(clock_.is_settled());
  EXPECT_EQ(clock_.untold(), 1);
  EXPECT_EQ(clock_.unknown(), 1);
  clock_.Arrived(5, {1, 1}, 20);
  EXPECT_FALSE(clock_.is_settled());  // the invented one is left
}

TEST_F(RevisionClockTest, OneEventTooMany) {
  clock_.Written(5, {1, 1}, 10);
  for (int i = 0; i < 3; ++i) clock_.Arrived(5, {1, 1}, 20);
  EXPECT_FALSE(clock_.is_settled());
}

TEST_F(RevisionClockTest, AnEventIsOfWhatWasWritten) {
  const std::vector<Change> others = {{2, 1}, {1, 2}, {1, 1, true}};
  for (const Change& other : others) {
    const int before = wrong_;
    const int64_t revision = other.index * 10 + other.writes;
    clock_.Arrived(revision, other, 20);
    clock_.Written(revision, {1, 1}, 10);
    EXPECT_EQ(wrong_, before + 1);
    clock_.Arrived(revision, other, 20);
    EXPECT_EQ(wrong_, before + 2);
  }
  EXPECT_TRUE(waits_ns_.empty());
}

TEST_F(RevisionClockTest, ARevisionIsOfOneWrite) {
  clock_.Written(5, {1, 1}, 10);
  clock_.Written(5, {2, 1}, 10);
  EXPECT_EQ(wrong_, 1);
}

}  // namespace
}  // namespace tidemark::bench
