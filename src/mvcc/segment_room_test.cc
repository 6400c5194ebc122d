#include "src/mvcc/segment_room.h"

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "src/base/heap_mapper_for_test.h"
#include "src/base/memory_budget.h"
#include "src/mvcc/version_store.h"

namespace tidemark::mvcc {
namespace {

constexpr size_t kSegmentBytes = 4096;

TEST(SegmentRoomTest, SegmentsAreSmallOnASmallTmpfs) {
  EXPECT_EQ(SegmentRoom::SegmentSizeFor(4 << 20, 9, uint64_t{24} << 30), size_t{4} << 20);
  EXPECT_EQ(SegmentRoom::SegmentSizeFor(4 << 20, 9, 64 << 20), size_t{128} << 10);
  EXPECT_EQ(SegmentRoom::SegmentSizeFor(4 << 20, 9, 1 << 20), size_t{64} << 10);
  EXPECT_EQ(SegmentRoom::SegmentSizeFor(4 << 20, 9, UINT64_MAX), size_t{4} << 20);
}

TEST(SegmentRoomTest, GivesNoMoreThanThereIsAboveTheFloor) {
  HeapMapper memory;
  memory.SetCapacityBytes(2 * 2 * kSegmentBytes + 2000);
  SegmentRoom room(memory, 2, kSegmentBytes);
  SegmentRoom::Reservation first = room.Reserve(600);
  EXPECT_FALSE(first.empty());
  EXPECT_TRUE(room.Reserve(401).empty());
  SegmentRoom::Reservation second = room.Reserve(400);
  EXPECT_FALSE(second.empty());
  EXPECT_TRUE(room.Reserve(1).empty());
  first = SegmentRoom::Reservation();
  EXPECT_EQ(room.reserved_bytes(), 800);
  EXPECT_FALSE(room.Reserve(600).empty());
}

TEST(SegmentRoomTest, TheCleanerLeavesWhatWritesNeed) {
  HeapMapper memory;
  memory.SetCapacityBytes(2 * 2 * kSegmentBytes + 2000);
  SegmentRoom room(memory, 2, kSegmentBytes);
  EXPECT_FALSE(room.ReserveToClean(kSegmentBytes).empty());
  const SegmentRoom::Reservation held = room.Reserve(1000);
  EXPECT_FALSE(room.ReserveToClean(kSegmentBytes).empty());
  memory.SetCapacityBytes(2 * kSegmentBytes + kSegmentBytes + 1999);
  EXPECT_TRUE(room.ReserveToClean(kSegmentBytes).empty());
}

TEST(SegmentRoomTest, TwoCleanersDoNotTakeTheSameMemory) {
  HeapMapper memory;
  memory.SetCapacityBytes(2 * kSegmentBytes + kSegmentBytes);
  SegmentRoom room(memory, 2, kSegmentBytes);
  SegmentRoom::Reservation first = room.ReserveToClean(kSegmentBytes);
  EXPECT_FALSE(first.empty());
  EXPECT_TRUE(room.ReserveToClean(kSegmentBytes).empty());
  first = SegmentRoom::Reservation();
  EXPECT_FALSE(room.ReserveToClean(kSegmentBytes).empty());
}

// A record larger than a segment needs one of its size.
TEST(SegmentRoomTest, WritesLeaveWhatACleanerHasTaken) {
  HeapMapper memory;
  memory.SetCapacityBytes(20 * kSegmentBytes);
  SegmentRoom room(memory, 2, kSegmentBytes);
  SegmentRoom::Reservation cleaner = room.ReserveToClean(10 * kSegmentBytes);
  EXPECT_FALSE(cleaner.empty());
  EXPECT_TRUE(room.Reserve(5 * kSegmentBytes).empty());
  EXPECT_FALSE(room.Reserve(4 * kSegmentBytes).empty());
  cleaner = SegmentRoom::Reservation();
  EXPECT_FALSE(room.Reserve(8 * kSegmentBytes).empty());
}

// Stores on one tmpfs that take every write which is given a reservation, until no more are: none
// of them may find that there is no segment for it (that would be Fatal).
class FillingTest : public ::testing::TestWithParam<int> {
 protected:
  static constexpr size_t kStores = 3;

  void SetUp() override {
    for (size_t i = 0; i < kStores; ++i) {
      StoreOptions options;
      options.name = "s" + std::to_string(i);
      options.segment_size_bytes = kSegmentBytes;
      options.budget = &budget_;
      options.room = &room_;
      stores_.push_back(VersionStore::CreateEmpty(std::move(options), memory_));
    }
    memory_.SetCapacityBytes(memory_.used_bytes() + 64 * kSegmentBytes);
  }
  // Mostly small values, and some that need a segment of their own. Or the worst there is: each a
  // little more than half of a segment.
  size_t DrawValueBytes() {
    if (GetParam() % 2 == 0) return kSegmentBytes / 2;
    const uint64_t kind = random_() % 10;
    if (kind == 0) return kSegmentBytes + random_() % (4 * kSegmentBytes);
    return kind < 4 ? random_() % kSegmentBytes : random_() % 200;
  }
  void Put(VersionStore& store, const std::string& key, const std::string& value) {
    store.BeginEntry(++revision_);
    store.Put(0, key, value, LeaseId(0));
    store.CommitEntry();
  }
  HeapMapper memory_;
  MemoryBudget budget_;
  SegmentRoom room_{memory_, kStores, kSegmentBytes};
  std::vector<std::unique_ptr<VersionStore>> stores_;
  std::mt19937_64 random_{static_cast<uint64_t>(GetParam())};
  struct Counter {
    Revision operator++() { return value = value.Next(); }
    Revision value = kEmptyStoreRevision;
  } revision_;
};

TEST_P(FillingTest, WhatWasGivenRoomCanBeStored) {
  struct OnItsWay {
    SegmentRoom::Reservation room;
    VersionStore* store;
    std::string key;
    std::string value;
  };
  std::vector<OnItsWay> on_their_way;
  int refused = 0;
  for (int i = 0; i < 3000 && refused < 200; ++i) {
    const std::string key = "key" + std::to_string(random_() % 50);
    std::string value(DrawValueBytes(), 'v');
    SegmentRoom::Reservation room =
        room_.Reserve(SegmentRoom::RecordBytes(key.size(), value.size()));
    if (room.empty()) {
      ++refused;
    } else {
      VersionStore* store = stores_[random_() % kStores].get();
      on_their_way.push_back({std::move(room), store, key, std::move(value)});
    }
    // They are applied some time later, in order.
    if (random_() % (GetParam() % 3 == 0 ? 8 : 1000) == 0) {
      for (OnItsWay& write : on_their_way) Put(*write.store, write.key, write.value);
      on_their_way.clear();
    }
    if (random_() % 500 == 0) {
      for (auto& store : stores_) {
        if (store->current_revision() <= store->compact_revision()) continue;
        store->Compact(store->current_revision());
        while (store->CompactStep(10, kLatest)) {
        }
      }
    }
  }
  for (OnItsWay& write : on_their_way) Put(*write.store, write.key, write.value);
  EXPECT_GE(refused, 1) << "the test never came to the end of memory";
  for (auto& store : stores_) store->CheckInvariants();
}

INSTANTIATE_TEST_SUITE_P(Seeds, FillingTest, ::testing::Range(1, 60));

// Where writes need what is left, or there is none, nothing is moved; once there is, the next step
// makes up for it without a further compaction.
class SegmentCleaningTest : public ::testing::TestWithParam<bool> {};

TEST_P(SegmentCleaningTest, WithoutRoomItIsPutOffAndNotForgotten) {
  HeapMapper memory;
  SegmentRoom room(memory, 1, kSegmentBytes);
  StoreOptions options;
  options.name = "c";
  options.segment_size_bytes = kSegmentBytes;
  if (GetParam()) options.room = &room;
  auto store = VersionStore::CreateEmpty(std::move(options), memory);
  Revision revision = kEmptyStoreRevision;
  for (int i = 0; i < 400; ++i) {
    revision = revision.Next();
    store->BeginEntry(revision);
    store->Put(0, i % 10 == 0 ? "key" + std::to_string(i) : "often", std::string(200, 'v'),
               LeaseId(0));
    store->CommitEntry();
  }
  store->ForgetEvents();
  memory.SetCapacityBytes(memory.used_bytes() + kSegmentBytes / 2);
  store->Compact(revision);
  const auto compact = [&store] {
    int steps = 0;
    while (store->CompactStep(10, kLatest)) ASSERT_LT(++steps, 1000);
    store->CheckInvariants();
  };
  compact();
  const int64_t sparse_bytes = store->stats().segment_bytes;
  EXPECT_GT(sparse_bytes, 4 * 40 * 250);
  compact();  // still no room
  EXPECT_EQ(store->stats().segment_bytes, sparse_bytes);
  memory.SetCapacityBytes(memory.used_bytes() + 10 * kSegmentBytes);
  compact();
  EXPECT_LT(store->stats().segment_bytes, 2 * 40 * 250);
}

INSTANTIATE_TEST_SUITE_P(SegmentCleaningTest, SegmentCleaningTest, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "Bounded" : "Unbounded"; });

// Records may be large: a step is bounded by what it moves, too.
TEST(SegmentCleaningStepTest, IsBoundedByBytes) {
  constexpr size_t kLarge = 100 << 10;
  HeapMapper memory;
  StoreOptions options;
  options.name = "l";
  options.segment_size_bytes = 1 << 20;
  auto store = VersionStore::CreateEmpty(std::move(options), memory);
  Revision revision = kEmptyStoreRevision;
  for (int i = 0; i < 200; ++i) {
    revision = revision.Next();
    store->BeginEntry(revision);
    store->Put(0, i % 10 == 0 ? "key" + std::to_string(i) : "often", std::string(kLarge, 'v'),
               LeaseId(0));
    store->CommitEntry();
  }
  store->ForgetEvents();
  store->Compact(revision);
  int steps = 0;
  while (store->CompactStep(1000, kLatest)) ++steps;
  EXPECT_GE(steps, 20 / 4);
  EXPECT_LE(store->stats().segment_bytes, 4 << 20);
}

// A reader holds a segment that the store has given up: it is counted as long as that lasts.
TEST(SegmentAccountTest, PinnedSegmentsAreCountedUntilTheyAreLetGo) {
  HeapMapper memory;
  MemoryBudget budget;
  StoreOptions options;
  options.name = "p";
  options.segment_size_bytes = kSegmentBytes;
  options.budget = &budget;
  auto store = VersionStore::CreateEmpty(std::move(options), memory);
  Revision revision = kEmptyStoreRevision;
  auto put = [&](const std::string& value) {
    revision = revision.Next();
    store->BeginEntry(revision);
    store->Put(0, "k", value, LeaseId(0));
    store->CommitEntry();
    store->ForgetEvents();
  };
  put(std::string(3000, 'a'));
  SharedBytes reader = store->Get("k", kLatest)->wire;
  put(std::string(3000, 'b'));
  put(std::string(3000, 'c'));
  EXPECT_EQ(budget.used_bytes(MemoryAccount::kValues), 3 * kSegmentBytes);
  store->Compact(revision);
  while (store->CompactStep(100, kLatest)) {
  }
  EXPECT_EQ(budget.used_bytes(MemoryAccount::kValues), kSegmentBytes);
  EXPECT_EQ(budget.used_bytes(MemoryAccount::kPinned), kSegmentBytes);
  reader = SharedBytes();
  EXPECT_EQ(budget.used_bytes(MemoryAccount::kPinned), 0);
  store.reset();
  EXPECT_EQ(budget.used_bytes(MemoryAccount::kValues), 0);
}

}  // namespace
}  // namespace tidemark::mvcc
