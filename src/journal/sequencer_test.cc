#include "src/journal/sequencer.h"

#include "gtest/gtest.h"
#include "src/base/little_endian.h"

namespace tidemark::journal {
namespace {

constexpr PartitionId kPods{1};
constexpr PartitionId kNodes{2};

Record Data(uint64_t origin, uint64_t number, std::vector<PartitionEpoch> named,
            bool changes_keys = true) {
  Record record;
  record.changes_keys = changes_keys;
  record.partitions.assign(named.begin(), named.end());
  record.origin = OriginId(origin);
  record.origin_number = number;
  return record;
}

class SequencerTest : public ::testing::Test {
 protected:
  absl::StatusOr<Sequencer::Numbered> Add(const Record& record) {
    Entry entry;
    auto numbered = sequencer_.Add(EntryKind::kData, record, &entry);
    if (numbered.ok() && !numbered->is_repeat) staged_.push_back(entry);
    return numbered;
  }
  Epoch AddClaim(PartitionId partition) {
    Record record;
    record.partitions.push_back({partition, Epoch(0)});
    Entry entry;
    auto numbered = sequencer_.Add(EntryKind::kClaim, record, &entry);
    EXPECT_TRUE(numbered.ok()) << numbered.status();
    staged_.push_back(entry);
    return Epoch(numbered->placed.position.value());
  }
  void Open() { sequencer_.OpenBlock(Term(1)); }
  void Commit() {
    sequencer_.CommitBlock();
    committed_.insert(committed_.end(), staged_.begin(), staged_.end());
    staged_.clear();
    sequencer_.CheckInvariants();
  }
  void Abandon() {
    sequencer_.AbandonBlock();
    staged_.clear();
  }
  Epoch Claim(PartitionId partition) {
    Open();
    Epoch epoch = AddClaim(partition);
    Commit();
    return epoch;
  }
  // The same entries, seen by somebody who did not number them.
  Sequencer Replay(Sequencer::Limits limits = {}) const {
    Sequencer other(limits);
    for (const Entry& entry : committed_) EXPECT_TRUE(other.Apply(entry).ok());
    return other;
  }

  Sequencer sequencer_;
  std::vector<Entry> staged_;
  std::vector<Entry> committed_;
};

TEST_F(SequencerTest, RevisionsCountEntriesThatChangeKeys) {
  Epoch epoch = Claim(kPods);
  EXPECT_EQ(epoch, Epoch(1));
  EXPECT_EQ(sequencer_.tail().revision, Revision(1));
  Open();
  EXPECT_EQ(Add(Data(9, 1, {{kPods, epoch}}))->placed.revision, Revision(2));
  EXPECT_EQ(Add(Data(9, 2, {{kPods, epoch}}, false))->placed.revision, Revision(2));
  EXPECT_EQ(Add(Data(9, 3, {{kPods, epoch}}))->placed.revision, Revision(3));
  Commit();
  EXPECT_EQ(sequencer_.tail().position, Position(4));
  EXPECT_EQ(sequencer_.tail().revision, Revision(3));
}

TEST_F(SequencerTest, J7NothingIsOrderedUnderAFencedEpoch) {
  Epoch old_epoch = Claim(kPods);
  Open();
  ASSERT_TRUE(Add(Data(9, 1, {{kPods, old_epoch}})).ok());
  Epoch new_epoch = AddClaim(kPods);
  // R10: fenced already by a claim in the same block.
  EXPECT_TRUE(absl::IsFailedPrecondition(Add(Data(9, 2, {{kPods, old_epoch}})).status()));
  EXPECT_TRUE(Add(Data(8, 1, {{kPods, new_epoch}})).ok());
  Commit();
  Open();
  EXPECT_TRUE(absl::IsFailedPrecondition(Add(Data(9, 2, {{kPods, old_epoch}})).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(Add(Data(9, 2, {{kPods, Epoch(99)}})).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(Add(Data(9, 2, {{kNodes, Epoch(0)}})).status()));
  // One stale name among several is enough.
  EXPECT_TRUE(absl::IsFailedPrecondition(
      Add(Data(9, 2, {{kPods, new_epoch}, {kNodes, Epoch(1)}})).status()));
  Abandon();
}

TEST_F(SequencerTest, J8ARepeatGetsTheFirstAnswer) {
  Epoch epoch = Claim(kPods);
  Open();
  Placed first = Add(Data(9, 1, {{kPods, epoch}}))->placed;
  auto again = Add(Data(9, 1, {{kPods, epoch}}));
  ASSERT_TRUE(again.ok());
  EXPECT_TRUE(again->is_repeat);
  EXPECT_EQ(again->placed.position, first.position);
  Commit();
  Open();
  AddClaim(kPods);  // fenced meanwhile: it happened all the same
  again = Add(Data(9, 1, {{kPods, epoch}}));
  ASSERT_TRUE(again.ok());
  EXPECT_TRUE(again->is_repeat);
  EXPECT_EQ(again->placed.position, first.position);
  EXPECT_EQ(again->placed.revision, first.revision);
  Abandon();
}

TEST_F(SequencerTest, AHoleIsRefusedUntilItIsFilled) {
  Epoch epoch = Claim(kPods);
  Open();
  EXPECT_TRUE(absl::IsAborted(Add(Data(9, 2, {{kPods, epoch}})).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Add(Data(9, 0, {{kPods, epoch}})).status()));
  EXPECT_TRUE(Add(Data(9, 1, {{kPods, epoch}})).ok());
  EXPECT_TRUE(absl::IsAborted(Add(Data(9, 3, {{kPods, epoch}})).status()));
  EXPECT_TRUE(Add(Data(9, 2, {{kPods, epoch}})).ok());
  Commit();
}

TEST_F(SequencerTest, AnAbandonedBlockNeverWas) {
  Epoch epoch = Claim(kPods);
  Open();
  ASSERT_TRUE(Add(Data(9, 1, {{kPods, epoch}})).ok());
  AddClaim(kPods);
  AddClaim(kNodes);
  Abandon();
  EXPECT_EQ(sequencer_.EpochOf(kPods), epoch);
  EXPECT_EQ(sequencer_.EpochOf(kNodes), Epoch(0));
  Open();
  EXPECT_TRUE(absl::IsAborted(Add(Data(9, 2, {{kPods, epoch}})).status()));
  auto numbered = Add(Data(9, 1, {{kPods, epoch}}));
  ASSERT_TRUE(numbered.ok());
  EXPECT_FALSE(numbered->is_repeat);
  EXPECT_EQ(numbered->placed.position, Position(2));
  Commit();
}

TEST_F(SequencerTest, ReplayAndSaveGiveTheSameState) {
  Epoch pods = Claim(kPods);
  Epoch nodes = Claim(kNodes);
  for (uint64_t i = 1; i <= 20; ++i) {
    Open();
    ASSERT_TRUE(Add(Data(9, i, {{kPods, pods}, {kNodes, nodes}})).ok());
    ASSERT_TRUE(Add(Data(10, i, {{kNodes, nodes}}, false)).ok());
    Commit();
  }
  Sequencer replayed = Replay();
  EXPECT_EQ(replayed.Save(), sequencer_.Save());
  absl::StatusOr<Sequencer> loaded = Sequencer::Load(sequencer_.Save(), {});
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  loaded->CheckInvariants();
  EXPECT_EQ(loaded->Save(), sequencer_.Save());
  // R11: exactly-once survives the restart.
  loaded->OpenBlock(Term(2));
  Entry entry;
  auto repeat = loaded->Add(EntryKind::kData, Data(10, 20, {{kNodes, nodes}}, false), &entry);
  ASSERT_TRUE(repeat.ok());
  EXPECT_TRUE(repeat->is_repeat);
  loaded->AbandonBlock();
}

TEST_F(SequencerTest, WhatIsRememberedIsBounded) {
  sequencer_ = Sequencer(Sequencer::Limits{.origins_max = 3, .answers_max = 5});
  Epoch epoch = Claim(kPods);
  for (uint64_t origin = 1; origin <= 10; ++origin) {
    for (uint64_t number = 1; number <= 4; ++number) {
      Open();
      ASSERT_TRUE(Add(Data(origin, number, {{kPods, epoch}})).ok());
      Commit();  // checks the bounds
    }
  }
  EXPECT_EQ(Replay({.origins_max = 3, .answers_max = 5}).Save(), sequencer_.Save());
  Open();
  EXPECT_TRUE(Add(Data(10, 1, {{kPods, epoch}}))->is_repeat);
  // Too old to remember, an origin forgotten.
  EXPECT_TRUE(absl::IsAborted(Add(Data(9, 1, {{kPods, epoch}})).status()));
  EXPECT_TRUE(absl::IsAborted(Add(Data(1, 5, {{kPods, epoch}})).status()));
  Abandon();
}

TEST_F(SequencerTest, HostileStateIsRefused) {
  Epoch epoch = Claim(kPods);
  Open();
  ASSERT_TRUE(Add(Data(9, 1, {{kPods, epoch}})).ok());
  Commit();
  std::string good = sequencer_.Save();
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(Sequencer::Load(absl::string_view(good).substr(0, size), {}).ok());
  }
  for (size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(0xFF);
    absl::StatusOr<Sequencer> loaded = Sequencer::Load(bad, {});
    if (loaded.ok()) loaded->CheckInvariants();
  }
}

// The layout of docs/journal-format.md, "snapshot", with one origin's answers.
std::string Saved(uint64_t tail, int64_t revision, std::vector<Placed> answers) {
  std::string out;
  AppendLittle(&out, uint32_t{1});
  AppendLittle(&out, tail);
  AppendLittle(&out, revision);
  AppendLittle(&out, uint64_t{1});  // term
  AppendLittle(&out, uint32_t{0});  // epochs
  AppendLittle(&out, uint32_t{1});
  AppendLittle(&out, uint64_t{7});  // origin
  AppendLittle(&out, uint64_t{9});  // its last number
  AppendLittle(&out, answers.back().position.value());
  AppendLittle(&out, static_cast<uint32_t>(answers.size()));
  for (const Placed& answer : answers) {
    AppendLittle(&out, answer.position.value());
    AppendLittle(&out, answer.revision.value());
  }
  return out;
}

TEST(SequencerLoadTest, RefusesWhatCannotHaveBeenSaved) {
  const Placed first{Position(5), Revision(4)};
  const Placed second{Position(7), Revision(5)};
  EXPECT_TRUE(Sequencer::Load(Saved(9, 6, {first, second}), {}).ok());
  EXPECT_FALSE(Sequencer::Load(Saved(9, 6, {second, first, second}), {}).ok());
  EXPECT_FALSE(Sequencer::Load(Saved(9, 6, {second, second}), {}).ok());
  EXPECT_FALSE(Sequencer::Load(Saved(9, 4, {first, second}), {}).ok());  // beyond the tail
  EXPECT_FALSE(Sequencer::Load(Saved(6, 6, {first, second}), {}).ok());  // the same
  EXPECT_FALSE(Sequencer::Load(Saved(9, INT64_MAX, {first, second}), {}).ok());
  EXPECT_FALSE(Sequencer::Load(Saved(UINT64_MAX, 6, {first, second}), {}).ok());
  EXPECT_FALSE(Sequencer::Load(Saved(9, 0, {first}), {}).ok());
}

TEST_F(SequencerTest, EntriesThatDoNotFollowAreRefused) {
  Claim(kPods);
  Entry entry = committed_.back();
  EXPECT_TRUE(absl::IsDataLoss(sequencer_.Apply(entry)));  // again
  entry.position = Position(3);
  EXPECT_TRUE(absl::IsDataLoss(sequencer_.Apply(entry)));  // hole
}

}  // namespace
}  // namespace tidemark::journal
