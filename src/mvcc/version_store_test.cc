#include "src/mvcc/version_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "src/base/heap_mapper_for_test.h"
#include "src/mvcc/key_value_codec.h"

namespace tidemark::mvcc {
namespace {

using ::testing::ElementsAre;

constexpr absl::string_view kZero("\0", 1);
KeyRangeView All() { return FromEtcd(kZero, kZero); }

class VersionStoreTest : public ::testing::Test {
 protected:
  // One entry with one change; returns its revision.
  Revision Put(absl::string_view key, absl::string_view value) {
    const Revision main = store_->current_revision().Next();
    store_->BeginEntry(main);
    store_->Put(0, key, value, LeaseId(0));
    store_->CommitEntry();
    return main;
  }
  Revision Delete(absl::string_view key) {
    const Revision main = store_->current_revision().Next();
    store_->BeginEntry(main);
    store_->Delete(0, key);
    store_->CommitEntry();
    return main;
  }
  void CompactFully(int64_t revision) {
    store_->Compact(Revision(revision));
    while (store_->CompactStep(1, kLatest)) {
    }
    store_->CheckInvariants();
  }
  std::string ValueAt(absl::string_view key, int64_t at) {
    auto kv = store_->Get(key, Revision(at));
    return kv ? std::string(kv->value) : "(none)";
  }
  std::vector<std::string> Events(int64_t from) {
    std::vector<std::string> out;
    store_->VisitEvents({Revision(from), 0}, store_->current_revision(), All(), true, 1000,
                        [&](const Event& event) {
                          std::string text(event.type == Event::Type::kPut ? "put " : "delete ");
                          text.append(event.key.data(), event.key.size());
                          text += "@" + std::to_string(event.revision.main.value());
                          if (event.prev_kv) {
                            KeyValueFields prev;
                            EXPECT_TRUE(DecodeKeyValue(event.prev_kv->view(), &prev));
                            text += " prev " + std::string(prev.value);
                          }
                          out.push_back(text);
                          return true;
                        });
    return out;
  }
  std::vector<std::string> HashInputs(int64_t at, int64_t compacted, bool nothing_lives = false) {
    const VersionStore::HashSpec spec{Revision(at), Revision(compacted), nothing_lives};
    std::vector<std::string> out;
    store_->VisitForHash({Revision(0), 0}, spec, 1000, [&](VersionStore::HashItem item) {
      KeyValueFields fields;
      EXPECT_TRUE(DecodeKeyValue(item.value.view(), &fields));
      out.push_back(std::to_string(item.revision.main.value()) + (item.tombstone ? "t " : " ") +
                    std::string(fields.key));
    });
    return out;
  }
  // In steps of `max_keys`; how many it took is added to *steps.
  bool FindLive(int64_t at, int64_t max_keys, int* steps) {
    std::string resume;
    do {
      ++*steps;
      if (store_->FindLiveStep(Revision(at), max_keys, &resume)) return true;
    } while (!resume.empty());
    return false;
  }

  HeapMapper memory_;
  std::unique_ptr<VersionStore> store_ =
      VersionStore::CreateEmpty({.name = "test", .segment_size_bytes = 4096}, memory_);
};

TEST_F(VersionStoreTest, FreshStoreIsAtRevisionOneAndNeverCompacted) {
  EXPECT_EQ(store_->current_revision(), Revision(1));
  EXPECT_EQ(store_->compact_revision(), Revision(-1));
  EXPECT_EQ(store_->stats().logical_bytes, 0);
  EXPECT_FALSE(store_->Get("a", kLatest).has_value());
}

TEST_F(VersionStoreTest, VersionAndCreateRevisionRestartAfterADelete) {
  Put("a", "1");
  Put("a", "2");
  auto kv = store_->Get("a", kLatest);
  EXPECT_EQ(kv->create_revision, Revision(2));
  EXPECT_EQ(kv->mod_revision, Revision(3));
  EXPECT_EQ(kv->version, 2);
  Delete("a");
  Put("a", "3");
  kv = store_->Get("a", kLatest);
  EXPECT_EQ(kv->create_revision, Revision(5));
  EXPECT_EQ(kv->version, 1);
  EXPECT_EQ(ValueAt("a", 3), "2");
  EXPECT_EQ(ValueAt("a", 4), "(none)");
}

TEST_F(VersionStoreTest, ReadableFromCompactRevisionToCurrent) {
  for (int i = 0; i < 5; ++i) Put("a", "v");
  store_->Compact(Revision(4));
  EXPECT_EQ(store_->CheckReadable(Revision(3)).message(),
            "etcdserver: mvcc: required revision has been compacted");
  EXPECT_TRUE(store_->CheckReadable(Revision(4)).ok());
  EXPECT_TRUE(store_->CheckReadable(Revision(6)).ok());
  EXPECT_EQ(store_->CheckReadable(Revision(7)).message(),
            "etcdserver: mvcc: required revision is a future revision");
  EXPECT_EQ(store_->CheckReadable(Revision(7)).code(), absl::StatusCode::kOutOfRange);
  EXPECT_TRUE(store_->CheckReadable(kLatest).ok());
}

TEST_F(VersionStoreTest, OpenEntryIsSeenOnlyByLatest) {
  Put("a", "old");
  store_->BeginEntry(Revision(3));
  auto replaced = store_->Put(0, "a", "new", LeaseId(7));
  EXPECT_EQ(replaced->value, "old");
  EXPECT_EQ(store_->Get("a", kLatest)->value, "new");
  EXPECT_EQ(store_->Get("a", Revision(2))->value, "old");
  EXPECT_EQ(store_->current_revision(), Revision(2));
  store_->CommitEntry();
  EXPECT_EQ(store_->Get("a", Revision(3))->lease, LeaseId(7));
}

// Contract 2.8 and etcd #18089: the tombstone at exactly R is kept, an older one is not.
TEST_F(VersionStoreTest, TombstoneAtTheCompactRevisionIsKeptUntilTheNextCompaction) {
  Put("a", "1");
  Delete("a");  // 3
  Put("b", "1");
  CompactFully(3);
  EXPECT_THAT(Events(3), ElementsAre("delete a@3", "put b@4"));
  EXPECT_EQ(store_->stats().versions, 2);
  CompactFully(4);
  EXPECT_THAT(Events(4), ElementsAre("put b@4"));
  EXPECT_EQ(store_->stats().versions, 1);
}

// Live and from history alike, as etcd judges it: by create and mod revision.
TEST_F(VersionStoreTest, WhatItsOwnEntryCreatedHasNoPrevKv) {
  Put("a", "1");
  store_->BeginEntry(Revision(3));
  store_->Delete(0, "a");
  store_->Put(1, "a", "2", LeaseId(0));
  store_->Put(2, "a", "3", LeaseId(0));
  std::vector<bool> live;
  for (const Event& event : store_->CommitEntry()) live.push_back(event.prev_kv.has_value());
  EXPECT_THAT(live, ElementsAre(true, false, false));
  EXPECT_THAT(Events(3), ElementsAre("delete a@3 prev 1", "put a@3", "put a@3"));
}

TEST_F(VersionStoreTest, PrevKvIsTheStateBeforeTheRevisionAndAbsentWhenCompacted) {
  Put("a", "1");
  store_->BeginEntry(Revision(3));
  store_->Put(0, "a", "2", LeaseId(0));
  store_->Put(1, "a", "3", LeaseId(0));
  store_->CommitEntry();
  Delete("a");
  EXPECT_THAT(Events(1),
              ElementsAre("put a@2", "put a@3 prev 1", "put a@3 prev 1", "delete a@4 prev 3"));
  store_->Compact(Revision(3));
  EXPECT_THAT(Events(3), ElementsAre("put a@3", "delete a@4 prev 3"));
}

TEST_F(VersionStoreTest, DeleteEventHasOnlyKeyAndModRevision) {
  Put("a", "1");
  store_->BeginEntry(Revision(3));
  store_->Delete(0, "a");
  auto events = store_->CommitEntry();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].kv.view(), absl::string_view("\x0A\x01"
                                                   "a\x18\x03"));
}

TEST_F(VersionStoreTest, SharedBytesOutliveCompactionAndRegionsAreGivenBack) {
  const std::string big(3000, 'x');
  Put("a", big);
  SharedBytes shared = store_->Get("a", kLatest)->wire;
  const std::string before(shared.view());
  for (int i = 0; i < 20; ++i) Put("a", big);
  EXPECT_EQ(memory_.open_regions(), 22);                  // with the segment table
  store_->BeginEntry(store_->current_revision().Next());  // lets go of the last entry's events
  store_->CommitEntry();
  CompactFully(store_->current_revision().value());
  EXPECT_EQ(memory_.open_regions(), 3);  // the newest and the shared one
  EXPECT_EQ(std::string(shared.view()), before);
  shared = SharedBytes();
  EXPECT_EQ(memory_.open_regions(), 2);
  EXPECT_EQ(store_->stats().segment_bytes, 4096);
}

TEST_F(VersionStoreTest, LargeRecordGetsASegmentOfItsOwn) {
  const std::string big(100000, 'x');
  Put("a", big);
  Put("b", "small");
  EXPECT_EQ(store_->Get("a", kLatest)->value, big);
  EXPECT_EQ(ValueAt("b", 3), "small");
  store_->CheckInvariants();
}

TEST_F(VersionStoreTest, CleanerMovesLiveRecordsTogether) {
  for (int i = 0; i < 400; ++i) {
    Put("k" + std::to_string(i), std::string(200, 'x'));
    for (int j = 0; j < 9; ++j) Put("hot", std::string(200, 'y'));
  }
  SharedBytes shared = store_->Get("k7", kLatest)->wire;
  CompactFully(store_->current_revision().value());
  EXPECT_EQ(store_->stats().versions, 401);
  // 401 records of about 240 bytes: the live bytes fit into 25 segments.
  EXPECT_LE(memory_.open_regions(), 31);
  for (int i = 0; i < 400; ++i) EXPECT_TRUE(store_->Get("k" + std::to_string(i), kLatest));
  EXPECT_EQ(store_->Get("k7", kLatest)->wire.view(), shared.view());
}

TEST_F(VersionStoreTest, RemovalStopsAtItsBound) {
  Put("a", "1");
  Put("a", "2");
  Put("a", "3");
  store_->Compact(Revision(4));
  while (store_->CompactStep(10, Revision(3))) {
  }
  EXPECT_EQ(store_->stats().versions, 2);
  while (store_->CompactStep(10, Revision(2))) {  // what is gone is gone
  }
  EXPECT_EQ(store_->stats().versions, 2);
  while (store_->CompactStep(10, kLatest)) {
  }
  EXPECT_EQ(store_->stats().versions, 1);
}

TEST_F(VersionStoreTest, LogicalBytesCountSupersededVersionsUntilCompacted) {
  for (int i = 0; i < 10; ++i) Put("a", std::string(1000, 'x'));
  EXPECT_GT(store_->stats().logical_bytes, 10000);
  EXPECT_LT(store_->stats().logical_live_bytes, 1200);
  CompactFully(11);
  EXPECT_EQ(store_->stats().logical_bytes, store_->stats().logical_live_bytes);
}

TEST_F(VersionStoreTest, CountStepContinuesWhereItStopped) {
  for (char c = 'a'; c <= 'j'; ++c) Put(std::string(1, c), "v");
  Delete("c");
  std::string resume;
  int64_t count = 0;
  int calls = 0;
  do {
    count += store_->CountStep(FromEtcd("b", "i"), Revision(12), 2, &resume);
    ++calls;
  } while (!resume.empty());
  EXPECT_EQ(count, 6);  // b d e f g h
  EXPECT_EQ(calls, 4);
}

// Contract 5.3, by hand: revisions 2 put a, 3 put b, 4 put a, 5 delete b, 6 put c.
TEST_F(VersionStoreTest, HashWalkFollowsKeepAndSkipRules) {
  Put("a", "1");
  Put("b", "1");
  Put("a", "2");
  Delete("b");
  Put("c", "1");
  EXPECT_THAT(HashInputs(6, -1), ElementsAre("2 a", "3 b", "4 a", "5t b", "6 c"));
  EXPECT_THAT(HashInputs(3, -1), ElementsAre("2 a", "3 b"));
  // Compacted at 3: a@2 is in keep(3) but not in keep(6); b@3 is in neither keep(5) nor keep(6).
  EXPECT_THAT(HashInputs(3, 3), ElementsAre("2 a", "3 b"));
  EXPECT_THAT(HashInputs(6, 3), ElementsAre("4 a", "5t b", "6 c"));
  // A tombstone at the compact revision does not count, present or not.
  EXPECT_THAT(HashInputs(6, 5), ElementsAre("4 a", "6 c"));
  CompactFully(5);
  EXPECT_THAT(HashInputs(6, 5), ElementsAre("4 a", "6 c"));
}

// Contract 5.3, Skip 2: with keep(R) empty nothing at or below the compact revision is skipped.
TEST_F(VersionStoreTest, HashWalkOfADeadStoreMarksWhatOnlyThenCounts) {
  Put("a", "1");
  Put("a", "2");
  Delete("a");
  EXPECT_THAT(HashInputs(4, 3, /*nothing_lives=*/true), ElementsAre("3 a", "4t a"));
  EXPECT_THAT(HashInputs(4, 3, /*nothing_lives=*/false), ElementsAre("4t a"));
  CompactFully(3);
  EXPECT_THAT(HashInputs(4, 3, /*nothing_lives=*/true), ElementsAre("3 a", "4t a"));
  EXPECT_THAT(HashInputs(4, 3, /*nothing_lives=*/false), ElementsAre("4t a"));
}

// However large the values are: their sum is built between two answers to others.
TEST_F(VersionStoreTest, AStepOfAHashWalkEndsBehindSoManyBytes) {
  const std::string value(VersionStore::kHashStepBytes / 2, 'v');
  for (const char* key : {"a", "b", "c"}) Put(key, value);
  int seen = 0;
  const auto count = [&](VersionStore::HashItem) { ++seen; };
  const VersionStore::HashSpec spec{store_->current_revision(), kNeverCompacted, false};
  EXPECT_EQ(store_->VisitForHash({Revision(0), 0}, spec, 1000, count).main, Revision(4));
  EXPECT_EQ(seen, 2);
  EXPECT_GT(store_->VisitForHash({Revision(4), 0}, spec, 1000, count).main, spec.at);
  EXPECT_EQ(seen, 3);
}

TEST_F(VersionStoreTest, LooksForSomethingAliveInSteps) {
  for (const char* key : {"a", "b", "c", "d"}) Put(key, "1");  // 2 to 5
  for (const char* key : {"a", "b", "c"}) Delete(key);         // 6 to 8
  int steps = 0;
  EXPECT_TRUE(FindLive(5, 2, &steps));
  EXPECT_EQ(steps, 1);
  EXPECT_TRUE(FindLive(8, 2, &steps));
  EXPECT_EQ(steps, 3);
  EXPECT_FALSE(FindLive(1, 2, &steps));
  EXPECT_EQ(steps, 5);
}

// Deleted and not compacted yet, or not written yet at an old revision: both are looked at.
TEST_F(VersionStoreTest, AStepOfAVisitCountsDeadKeysToo) {
  for (const char* key : {"a", "b", "c", "d", "e"}) Put(key, "1");
  for (const char* key : {"a", "b", "c"}) Delete(key);
  std::string seen, resume;
  int steps = 0;
  do {
    ++steps;
    store_->VisitStep(FromEtcd("a", "z"), kLatest, 2, &resume, [&](const KeyValueView& kv) {
      seen.append(kv.key.data(), kv.key.size());
      return true;
    });
  } while (!resume.empty());
  EXPECT_EQ(seen, "de");
  EXPECT_EQ(steps, 3);
}

TEST_F(VersionStoreTest, AVisitGoesOnWhereItsVisitorStopped) {
  for (const char* key : {"a", "b", "c"}) Put(key, "1");
  std::string resume;
  store_->VisitStep(FromEtcd("a", "z"), kLatest, 10, &resume,
                    [](const KeyValueView& kv) { return kv.key != "b"; });
  EXPECT_EQ(resume, "b");
}

TEST_F(VersionStoreTest, CompactToZeroIsAcceptedOnce) {
  store_->Compact(Revision(0));
  EXPECT_EQ(store_->compact_revision(), Revision(0));
}

}  // namespace
}  // namespace tidemark::mvcc
