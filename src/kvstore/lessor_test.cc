// Expected values: contract section 4.
#include "src/kvstore/lessor.h"

#include <map>
#include <random>

#include "gtest/gtest.h"
#include "src/kvstore/etcd_errors.h"
#include "src/kvstore/replica_harness_for_test.h"

namespace tidemark::kvstore {
namespace {

constexpr LeaseId kA{1}, kB{2};

class LessorTest : public testing::Test {
 protected:
  void Advance(double seconds) { clock_.Advance(absl::Seconds(seconds)); }
  ManualClock clock_;
  Lessor lessor_{LessorOptions(), clock_};
};

TEST_F(LessorTest, TtlToGrant) {
  EXPECT_EQ(*lessor_.TtlToGrant(LeaseId(0), -5), 2);
  EXPECT_EQ(*lessor_.TtlToGrant(kA, 0), 2);
  EXPECT_EQ(*lessor_.TtlToGrant(kA, 9'000'000'000), 9'000'000'000);
  EXPECT_EQ(lessor_.TtlToGrant(kA, 9'000'000'001).status(), ErrLeaseTtlTooLarge());
  lessor_.OnGranted(kA, 60);
  EXPECT_EQ(lessor_.TtlToGrant(kA, 60).status(), ErrLeaseExists());
}

TEST_F(LessorTest, ExpiresNoEarlierThanItsTtlAndOnce) {
  lessor_.StartServing();
  lessor_.OnGranted(kA, 10);
  lessor_.OnGranted(kB, 5);
  EXPECT_EQ(lessor_.ByExpiry(), (std::vector<LeaseId>{kB, kA}));
  Advance(4.999);
  EXPECT_TRUE(lessor_.TakeExpired().empty());
  Advance(0.001);
  EXPECT_EQ(lessor_.TakeExpired(), std::vector<LeaseId>{kB});
  EXPECT_TRUE(lessor_.TakeExpired().empty());
  EXPECT_EQ(lessor_.Renew(kB), Lessor::Renewal::kBeingRevoked);
  lessor_.GiveBack(kB);
  EXPECT_EQ(lessor_.TakeExpired(), std::vector<LeaseId>{kB});
  lessor_.OnRevoked(kB);
  EXPECT_EQ(lessor_.Renew(kB), Lessor::Renewal::kUnknown);
}

TEST_F(LessorTest, ExpiredButNotYetTakenIsNotRenewed) {
  lessor_.StartServing();
  lessor_.OnGranted(kA, 5);
  Advance(5);
  EXPECT_EQ(lessor_.Renew(kA), Lessor::Renewal::kBeingRevoked);
}

TEST_F(LessorTest, RenewalGivesTheFullTtl) {
  lessor_.StartServing();
  lessor_.OnGranted(kA, 60);
  Advance(4.5);
  EXPECT_EQ(lessor_.RemainingSeconds(kA), 55);  // truncated
  EXPECT_EQ(lessor_.Renew(kA), Lessor::Renewal::kRenewed);
  EXPECT_EQ(lessor_.RemainingSeconds(kA), 60);
  EXPECT_EQ(lessor_.GrantedSeconds(kA), 60);
}

TEST_F(LessorTest, RenewedLeasesAreMovedAFewAtATime) {
  LessorOptions options;
  options.max_moves_per_pass = 10;
  Lessor lessor(options, clock_);
  lessor.StartServing();
  for (int id = 1; id <= 25; ++id) lessor.OnGranted(LeaseId(id), 5);
  lessor.OnGranted(LeaseId(26), 5);
  Advance(4);
  for (int id = 1; id <= 25; ++id) ASSERT_EQ(lessor.Renew(LeaseId(id)), Lessor::Renewal::kRenewed);
  Advance(1);
  for (int pass = 0; pass < 2; ++pass) {
    EXPECT_TRUE(lessor.TakeExpired().empty());
    EXPECT_TRUE(lessor.has_expiries_to_move());
  }
  EXPECT_EQ(lessor.TakeExpired(), std::vector<LeaseId>{LeaseId(26)});
  EXPECT_FALSE(lessor.has_expiries_to_move());
  lessor.OnRevoked(LeaseId(26));
  Advance(4);
  EXPECT_EQ(lessor.TakeExpired().size(), 25u);
}

// Against a map of when each ends, whatever is renewed, ended or granted again in between.
TEST_F(LessorTest, EachEndsWhenItsTimeIsOverAndNotBefore) {
  std::mt19937 random(1);
  LessorOptions options;
  options.max_moves_per_pass = 3;
  Lessor lessor(options, clock_);
  lessor.StartServing();
  std::map<LeaseId, double> ends;
  double now = 0;
  for (int step = 0; step < 20'000; ++step) {
    const LeaseId id(1 + static_cast<int64_t>(random() % 50));
    const auto known = ends.find(id);
    const double ttl_seconds = 2 + static_cast<double>(id.value() % 3);  // no checkpoints
    if (known == ends.end()) {
      lessor.OnGranted(id, static_cast<int64_t>(ttl_seconds));
      ends[id] = now + ttl_seconds;
    } else if (random() % 8 == 0) {
      lessor.OnRevoked(id);
      ends.erase(known);
    } else if (lessor.Renew(id) == Lessor::Renewal::kRenewed) {
      ASSERT_GT(known->second, now);
      known->second = now + ttl_seconds;
    } else {
      ASSERT_LE(known->second, now);
    }
    const double passed = static_cast<double>(random() % 8) / 8;
    Advance(passed);
    now += passed;
    do {
      for (const LeaseId expired : lessor.TakeExpired()) {
        ASSERT_LE(ends.at(expired), now);
        lessor.OnRevoked(expired);
        ends.erase(expired);
      }
    } while (lessor.has_expiries_to_move());
    for (const auto& [alive, end] : ends) ASSERT_GT(end, now) << alive.value();
    ASSERT_EQ(lessor.size(), ends.size());
  }
}

TEST_F(LessorTest, AtMost500PerPass) {
  lessor_.StartServing();
  for (int i = 1; i <= 700; ++i) lessor_.OnGranted(LeaseId(i), 5);
  Advance(5);
  EXPECT_EQ(lessor_.TakeExpired().size(), 500u);
  EXPECT_EQ(lessor_.TakeExpired().size(), 200u);
}

// As etcd's Go client does it, in the seconds that it may be late.
TEST_F(LessorTest, WhoRenewsAfterAThirdOfTheTtlIsNeverJournaled) {
  lessor_.StartServing();
  for (const int64_t ttl_seconds : {2, 5, 10, 16, 60, 3600}) {
    const LeaseId id(ttl_seconds);
    lessor_.OnGranted(id, ttl_seconds);
    for (int renewal = 0; renewal < 10; ++renewal) {
      Advance(static_cast<double>(ttl_seconds) / 3 + 0.5);
      EXPECT_TRUE(lessor_.DueCheckpoints().empty()) << ttl_seconds;
      EXPECT_EQ(lessor_.Renew(id), Lessor::Renewal::kRenewed);
    }
    lessor_.OnRevoked(id);
  }
}

TEST_F(LessorTest, JournalHearsOfRemainingTimeAtHalfOfIt) {
  lessor_.StartServing();
  lessor_.OnGranted(kA, 80);
  Advance(39.9);
  EXPECT_TRUE(lessor_.DueCheckpoints().empty());
  Advance(0.6);
  auto due = lessor_.DueCheckpoints();
  ASSERT_EQ(due.size(), 1u);
  EXPECT_EQ(due[0].id, kA);
  EXPECT_EQ(due[0].remaining_seconds, 40);  // 39.5, rounded up
  lessor_.OnRemaining(kA, 40);
  EXPECT_TRUE(lessor_.DueCheckpoints().empty());
  // A renewal's answer promises the full TTL over a restart: the journal first.
  EXPECT_EQ(lessor_.Renew(kA), Lessor::Renewal::kJournalFirst);
  lessor_.OnRemaining(kA, 0);
  EXPECT_EQ(lessor_.Renew(kA), Lessor::Renewal::kRenewed);
  EXPECT_EQ(lessor_.RemainingSeconds(kA), 80);
}

TEST_F(LessorTest, ExtendedWithoutTheJournalItLivesOnInThisProcess) {
  lessor_.StartServing();
  lessor_.OnGranted(kA, 80);
  Advance(41);
  ASSERT_EQ(lessor_.DueCheckpoints().size(), 1u);
  lessor_.OnRemaining(kA, 39);
  Advance(30);
  lessor_.Extend(kA);
  EXPECT_EQ(lessor_.RemainingSeconds(kA), 80);
  EXPECT_EQ(lessor_.Renew(kA), Lessor::Renewal::kJournalFirst);  // it promises more
  Advance(80);
  lessor_.Extend(kA);  // too late
  lessor_.Extend(kB);  // unknown
  EXPECT_EQ(lessor_.TakeExpired(), std::vector<LeaseId>{kA});
}

// Else the checkpoint, applied later, would take back what the renewal promised over a restart.
TEST_F(LessorTest, RenewalWhileACheckpointIsOnItsWayGoesThroughTheJournal) {
  lessor_.StartServing();
  lessor_.OnGranted(kA, 6);
  Advance(5);
  const auto due = lessor_.DueCheckpoints();
  ASSERT_EQ(due.size(), 1u);
  EXPECT_TRUE(lessor_.DueCheckpoints().empty());
  EXPECT_EQ(lessor_.Renew(kA), Lessor::Renewal::kJournalFirst);
  lessor_.OnRemaining(kA, due[0].remaining_seconds);
  EXPECT_EQ(lessor_.Renew(kA), Lessor::Renewal::kJournalFirst);
  lessor_.OnRemaining(kA, 0);  // the reset, ordered behind it
  EXPECT_EQ(lessor_.Renew(kA), Lessor::Renewal::kRenewed);
  Advance(5);
  const auto again = lessor_.DueCheckpoints();
  ASSERT_EQ(again.size(), 1u);
  lessor_.GiveUpCheckpoints(again);
  EXPECT_EQ(lessor_.Renew(kA), Lessor::Renewal::kRenewed);
}

// The next life may start with what was written then; a renewal's promise has to be above that.
TEST_F(LessorTest, ACheckpointOfUnknownOutcomeIsResetBeforeARenewal) {
  lessor_.StartServing();
  lessor_.OnGranted(kA, 60);
  Advance(31);
  const auto due = lessor_.DueCheckpoints();
  ASSERT_EQ(due.size(), 1u);
  lessor_.CountAsJournaled(due);
  EXPECT_EQ(lessor_.Renew(kA), Lessor::Renewal::kJournalFirst);
  lessor_.OnRemaining(kA, 0);
  EXPECT_EQ(lessor_.Renew(kA), Lessor::Renewal::kRenewed);
}

TEST_F(LessorTest, AResetBeforeTheCheckpointDoesNotCoverIt) {
  lessor_.StartServing();
  lessor_.OnGranted(kA, 60);
  Advance(31);
  ASSERT_EQ(lessor_.DueCheckpoints().size(), 1u);
  lessor_.OnRemaining(kA, 29);
  EXPECT_EQ(lessor_.Renew(kA), Lessor::Renewal::kJournalFirst);  // appends a reset
  lessor_.OnRemaining(kA, 0);
  ASSERT_EQ(lessor_.DueCheckpoints().size(), 1u);  // before it was renewed
  EXPECT_EQ(lessor_.Renew(kA), Lessor::Renewal::kJournalFirst);
  lessor_.OnRemaining(kA, 29);
  lessor_.OnRemaining(kA, 0);
  EXPECT_EQ(lessor_.Renew(kA), Lessor::Renewal::kRenewed);
}

TEST_F(LessorTest, BeingRevokedEndsWithTheLease) {
  lessor_.StartServing();
  lessor_.OnGranted(kA, 5);
  EXPECT_FALSE(lessor_.IsBeingRevoked(kA));
  Advance(5);
  ASSERT_EQ(lessor_.TakeExpired().size(), 1u);
  EXPECT_TRUE(lessor_.IsBeingRevoked(kA));
  lessor_.OnRevoked(kA);
  lessor_.OnGranted(kA, 5);
  EXPECT_FALSE(lessor_.IsBeingRevoked(kA));
}

TEST_F(LessorTest, ShortLeasesAreJournaledAfterFiveSeconds) {
  lessor_.StartServing();
  lessor_.OnGranted(kA, 8);  // of which the journal may lag five behind
  Advance(2.9);
  EXPECT_TRUE(lessor_.DueCheckpoints().empty());
  Advance(2.1);
  EXPECT_EQ(lessor_.DueCheckpoints().size(), 1u);
}

TEST_F(LessorTest, AfterARestartTimeCountsFromServing) {
  lessor_.OnGranted(kA, 100);
  lessor_.OnGranted(kB, 100);
  lessor_.OnRemaining(kB, 30);
  Advance(1000);  // replay takes as long as it takes
  EXPECT_TRUE(lessor_.TakeExpired().empty());
  lessor_.StartServing();
  EXPECT_EQ(lessor_.RemainingSeconds(kA), 100);
  EXPECT_EQ(lessor_.RemainingSeconds(kB), 30);
  Advance(30);
  EXPECT_EQ(lessor_.TakeExpired(), std::vector<LeaseId>{kB});
}

}  // namespace
}  // namespace tidemark::kvstore
