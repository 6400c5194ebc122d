#include "src/kvstore/in_flight.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace tidemark::kvstore {
namespace {

mvcc::KeyRangeView Key(absl::string_view key) { return mvcc::FromEtcd(key, ""); }

class InFlightTest : public testing::Test {
 protected:
  struct Party : Entrant {
    Party(InFlightTest& t, std::string n, bool hold) : Entrant(hold), test(t), name(std::move(n)) {}
    void Enter() override {
      test.entered_ += name;
      if (is_hold()) {
        test.in_flight_.AddHold(footprint);
      } else {
        footprint.reads.clear();
        test.in_flight_.AddAppended(footprint);
      }
    }
    InFlightTest& test;
    std::string name;
  };
  Party* Arrive(std::string name, Footprint footprint, bool hold = false) {
    auto& party = parties_.emplace_back(std::make_unique<Party>(*this, std::move(name), hold));
    party->footprint = std::move(footprint);
    in_flight_.Arrive(party.get());
    return party.get();
  }
  Party* Put(std::string name, absl::string_view key, int64_t lease = 0) {
    Footprint footprint;
    footprint.writes.push_back(Key(key));
    if (lease != 0) footprint.attaches.push_back(LeaseId(lease));
    return Arrive(std::move(name), footprint);
  }
  Party* Txn(std::string name, mvcc::KeyRangeView range) {
    Footprint footprint;
    footprint.reads.push_back(range);
    footprint.writes.push_back(range);
    return Arrive(std::move(name), footprint);
  }
  Party* Hold(std::string name, mvcc::KeyRangeView reads, mvcc::KeyRangeView writes) {
    Footprint footprint;
    footprint.reads.push_back(reads);
    footprint.writes.push_back(writes);
    return Arrive(std::move(name), footprint, /*hold=*/true);
  }
  Party* RevokeHold(std::string name, int64_t lease) {
    Footprint footprint;
    footprint.revokes.push_back(LeaseId(lease));
    return Arrive(std::move(name), footprint, /*hold=*/true);
  }
  void Done(Party* party) {
    if (party->is_hold()) {
      in_flight_.RemoveHold(party->footprint);
    } else {
      in_flight_.RemoveAppended(party->footprint);
    }
    in_flight_.Pump();
  }

  InFlight in_flight_;
  std::string entered_;
  std::vector<std::unique_ptr<Party>> parties_;
};

TEST_F(InFlightTest, PlainPutsOfOneKeyDoNotWait) {
  Put("a", "k");
  Put("b", "k");
  EXPECT_EQ(entered_, "ab");
}

TEST_F(InFlightTest, DependentsWaitForAllWritesOfTheirKey) {
  Party* a = Put("a", "k");
  Party* b = Put("b", "k");
  Txn("c", Key("k"));
  Txn("d", Key("other"));
  EXPECT_EQ(entered_, "abd");
  Done(a);
  EXPECT_EQ(entered_, "abd");
  Done(b);
  EXPECT_EQ(entered_, "abdc");
}

TEST_F(InFlightTest, RangesSeeKeysInFlightInside) {
  Party* a = Put("a", "k5");
  Txn("b", mvcc::FromEtcd("k0", "k5"));
  Txn("c", mvcc::FromEtcd("k5", "k6"));
  EXPECT_EQ(entered_, "ab");
  Done(a);
  EXPECT_EQ(entered_, "abc");
}

TEST_F(InFlightTest, WaitingDependentsAreNotOvertakenNorStarved) {
  Party* a = Put("a", "k");
  Txn("b", Key("k"));
  Put("c", "k");  // would let b wait for ever
  Put("d", "other");
  EXPECT_EQ(entered_, "ad");
  Done(a);
  EXPECT_EQ(entered_, "adbc");  // c follows b into the journal at once
}

// Comparing each of them with each of the others' would take minutes.
TEST_F(InFlightTest, OfVeryManyRangesOnlyTheHullIsKept) {
  const auto name = [](int i) { return absl::StrCat("k", 1000 + i); };
  std::vector<std::string> names;
  for (int i = 0; i < 200; ++i) names.push_back(name(i));
  const auto footprint = [&names](size_t ranges) {
    Footprint footprint;
    for (size_t i = 0; i + 1 < 2 * ranges; i += 2) {
      footprint.writes.push_back(mvcc::FromEtcd(names[i], names[i + 1]));
    }
    footprint.writes.push_back(Key("single"));
    footprint.writes.push_back(mvcc::FromEtcd("z", "a"));  // empty
    return footprint;
  };
  Party* few = Arrive("a", footprint(10), /*hold=*/true);
  Put("b", names[1]);  // between two of them
  Put("c", names[2]);
  Done(few);
  Party* many = Arrive("d", footprint(100), /*hold=*/true);
  EXPECT_EQ(entered_, "abc");
  Done(parties_[1].get());
  Done(parties_[2].get());
  EXPECT_EQ(entered_, "abcd");
  Put("e", names[1]);
  Put("f", "single");
  const std::string before = name(-1);
  Put("g", before);
  Put("h", names[199]);
  EXPECT_EQ(entered_, "abcdgh");
  Done(many);
  EXPECT_EQ(entered_, "abcdghef");
  for (int i : {4, 5, 6, 7}) Done(parties_[static_cast<size_t>(i)].get());
  EXPECT_TRUE(in_flight_.idle());
}

TEST_F(InFlightTest, HoldsDrainAndKeepPlainPutsOut) {
  Party* a = Put("a", "k");
  Party* hold = Hold("H", Key("k"), Key("w"));
  EXPECT_EQ(entered_, "a");
  Put("b", "k");
  Put("c", "w");
  EXPECT_EQ(entered_, "a");
  Done(a);
  EXPECT_EQ(entered_, "aH");
  Done(hold);
  EXPECT_EQ(entered_, "aHbc");
}

TEST_F(InFlightTest, HoldsThatOnlyReadTheSameShareIt) {
  Hold("A", Key("r"), Key("1"));
  Hold("B", Key("r"), Key("2"));
  Hold("C", Key("1"), Key("3"));
  EXPECT_EQ(entered_, "AB");
}

TEST_F(InFlightTest, RevokesWaitForAttachesAndKeepNewOnesOut) {
  Party* a = Put("a", "k", 7);
  Party* revoke = RevokeHold("R", 7);
  Put("b", "j", 7);
  Put("c", "i", 8);
  EXPECT_EQ(entered_, "ac");
  Done(a);
  EXPECT_EQ(entered_, "acR");
  Done(revoke);
  EXPECT_EQ(entered_, "acRb");
}

TEST_F(InFlightTest, NothingEntersWhilePausedAndIdleLeavesNothing) {
  in_flight_.Pause();
  Put("a", "k");
  in_flight_.Pump();
  EXPECT_EQ(entered_, "");
  EXPECT_FALSE(in_flight_.idle());
  in_flight_.Resume();
  in_flight_.Pump();
  EXPECT_EQ(entered_, "a");
  Done(parties_[0].get());
  EXPECT_TRUE(in_flight_.idle());
}

}  // namespace
}  // namespace tidemark::kvstore
