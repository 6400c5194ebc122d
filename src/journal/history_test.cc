#include "src/journal/history.h"

#include "gtest/gtest.h"

namespace tidemark::journal {
namespace {

constexpr uint64_t kFirst = 11;
constexpr uint64_t kSecond = 22;
constexpr uint64_t kThird = 33;

// Positions run ahead of revisions, as claims and leases make them.
History::Point At(int64_t revision) {
  return {Position(static_cast<uint64_t>(revision) + 10), Revision(revision)};
}

// Three starts: at 1, at 100, and now, at 250.
History Three() {
  History history;
  history.Add({kFirst, Term(1), At(1)});
  history.Add({kSecond, Term(2), At(100)});
  history.Add({kThird, Term(3), At(250)});
  return history;
}

bool IsRefused(const History& history, uint64_t id, const History::Point& reached) {
  return absl::IsDataLoss(history.Check(id, reached, At(250)));
}

TEST(HistoryTest, BelievesWhatLiesOnItsWay) {
  const History history = Three();
  EXPECT_TRUE(history.Check(kFirst, {Position(0), Revision(0)}, At(250)).ok());
  EXPECT_TRUE(history.Check(kFirst, At(100), At(250)).ok());
  EXPECT_TRUE(history.Check(kSecond, At(250), At(250)).ok());
  EXPECT_TRUE(history.Check(kThird, At(250), At(250)).ok());
}

TEST(HistoryTest, RefusesWhatWentOnBesideIt) {
  const History history = Three();
  // A process of the first start that wrote on after another copy had begun its second.
  EXPECT_TRUE(IsRefused(history, kFirst, At(101)));
  // Or only compacted.
  EXPECT_TRUE(IsRefused(history, kFirst, {Position(111), Revision(100)}));
  // The journal lost its end.
  EXPECT_TRUE(IsRefused(history, kSecond, At(251)));
  // Another copy's start, of the same term.
  EXPECT_TRUE(IsRefused(history, 44, At(120)));
  EXPECT_TRUE(IsRefused(history, 0, At(0)));
  EXPECT_TRUE(IsRefused(History(), kFirst, At(0)));
}

TEST(HistoryTest, ForgetsStartsThatTheJournalLost) {
  History history = Three();
  history.Add({44, Term(4), At(60)});
  ASSERT_EQ(history.starts().size(), 2u);
  EXPECT_TRUE(history.Check(kFirst, At(60), At(60)).ok());
  EXPECT_TRUE(IsRefused(history, kFirst, At(61)));
  EXPECT_TRUE(IsRefused(history, kSecond, At(60)));
  EXPECT_EQ(History::Decode(history.Encode()).value(), history);
}

TEST(HistoryTest, AStartThatNeverHadItsTermIsReplaced) {
  History history = Three();
  history.Add({44, Term(3), At(250)});
  EXPECT_EQ(history.starts().size(), 3u);
  EXPECT_EQ(history.newest_id(), 44u);
}

TEST(HistoryTest, IsBoundedAndForgetsTheOldest) {
  History history;
  for (uint64_t i = 1; i <= History::kStartsMax + 1; ++i) {
    history.Add({i, Term(i), At(static_cast<int64_t>(i))});
  }
  EXPECT_EQ(history.starts().size(), History::kStartsMax);
  EXPECT_FALSE(history.Check(1, At(1), At(10'000)).ok());
  EXPECT_TRUE(history.Check(2, At(2), At(10'000)).ok());
  EXPECT_EQ(History::Decode(history.Encode()).value(), history);
}

TEST(HistoryTest, DecodesOnlyWhatItEncodes) {
  const std::string good = Three().Encode();
  EXPECT_EQ(History::Decode(good).value(), Three());
  EXPECT_EQ(History::Decode(History().Encode()).value(), History());
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(History::Decode(good.substr(0, size)).ok()) << size;
  }
  EXPECT_FALSE(History::Decode(good + "x").ok());
  // The first and the last one the other way round.
  constexpr size_t kCountBytes = 4;
  constexpr size_t kStartBytes = 32;
  const std::string back =
      good.substr(0, kCountBytes) + good.substr(kCountBytes + 2 * kStartBytes) +
      good.substr(kCountBytes + kStartBytes, kStartBytes) + good.substr(kCountBytes, kStartBytes);
  ASSERT_EQ(back.size(), good.size());
  EXPECT_FALSE(History::Decode(back).ok());
}

}  // namespace
}  // namespace tidemark::journal
