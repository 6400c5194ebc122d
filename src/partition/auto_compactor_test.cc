#include "src/partition/auto_compactor.h"

#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/sim/env/world.h"

namespace tidemark::partition {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class AutoCompactorTest : public ::testing::Test {
 protected:
  AutoCompactorTest() : world_(1), executor_(world_.NewExecutor("store")) {}

  void Start(AutoCompaction policy) {
    compactor_ = std::make_unique<AutoCompactor>(
        policy, *executor_, world_.clock(), [this] { return revision_; },
        [this](Revision target, absl::AnyInvocable<void(absl::Status)> done) {
          targets_.push_back(target.value());
          done(outcome_);
        });
    compactor_->Start();
  }
  // A write each minute for `minutes`.
  void Run(int minutes) {
    for (int i = 0; i < minutes; ++i) {
      world_.RunFor(absl::Minutes(1));
      revision_ = revision_.Next();
    }
  }

  sim::World world_;
  std::unique_ptr<Executor> executor_;
  Revision revision_{1};
  absl::Status outcome_;
  std::vector<int64_t> targets_;
  std::unique_ptr<AutoCompactor> compactor_;
};

TEST_F(AutoCompactorTest, PeriodicCompactsToTheRevisionOfAPeriodAgo) {
  Start({AutoCompaction::Mode::kPeriodic, absl::Minutes(10), 0});
  Run(9);
  EXPECT_THAT(targets_, IsEmpty());
  Run(2);
  EXPECT_THAT(targets_, ElementsAre(1));
  Run(9);
  EXPECT_THAT(targets_, ElementsAre(1));
  Run(2);
  ASSERT_EQ(targets_.size(), 2u);
  EXPECT_NEAR(targets_[1], 11, 1);
}

TEST_F(AutoCompactorTest, LongPeriodsCompactHourly) {
  Start({AutoCompaction::Mode::kPeriodic, absl::Hours(3), 0});
  Run(3 * 60 - 1);
  EXPECT_THAT(targets_, IsEmpty());
  Run(3 * 60 + 5);
  EXPECT_EQ(targets_.size(), 4u);
}

TEST_F(AutoCompactorTest, PeriodicRetriesAtTheSamplingInterval) {
  outcome_ = absl::UnavailableError("no");
  Start({AutoCompaction::Mode::kPeriodic, absl::Minutes(10), 0});
  Run(13);
  EXPECT_GE(targets_.size(), 2u);
  outcome_ = absl::OkStatus();
  Run(2);
  const size_t tries = targets_.size();
  Run(7);
  EXPECT_EQ(targets_.size(), tries);
}

TEST_F(AutoCompactorTest, RevisionModeKeepsTheNewest) {
  Start({AutoCompaction::Mode::kRevision, absl::ZeroDuration(), 3});
  revision_ = Revision(3);
  world_.RunFor(absl::Minutes(6));
  EXPECT_THAT(targets_, IsEmpty());  // nothing to drop yet
  revision_ = Revision(10);
  world_.RunFor(absl::Minutes(11));
  EXPECT_THAT(targets_, ElementsAre(7));
}

TEST_F(AutoCompactorTest, StopsAtOnce) {
  Start({AutoCompaction::Mode::kRevision, absl::ZeroDuration(), 1});
  revision_ = Revision(100);
  compactor_->Stop();
  world_.RunFor(absl::Minutes(20));
  EXPECT_THAT(targets_, IsEmpty());
}

}  // namespace
}  // namespace tidemark::partition
