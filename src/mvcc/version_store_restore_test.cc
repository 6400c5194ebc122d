// Filling a store from an image, in parts and by several threads: the store that entries had made.
#include <gtest/gtest.h>

#include <random>

#include "absl/strings/str_cat.h"
#include "src/base/heap_mapper_for_test.h"
#include "src/base/thread_pool.h"
#include "src/mvcc/key_value_codec.h"
#include "src/mvcc/version_store.h"

namespace tidemark::mvcc {
namespace {

struct Stored {
  RevisionKey revision;
  bool tombstone;
  std::string wire;
};

const StoreOptions kOptions{.name = "p1", .identity = 7, .segment_size_bytes = 4096};

std::vector<Stored> StoredIn(const VersionStore& store) {
  std::vector<Stored> all;
  RevisionKey next{Revision(0), 0};
  while (next.main <= store.current_revision()) {
    next = store.VisitStored(next, 1000, [&](const StoredRecord& record) {
      all.push_back({record.revision, record.tombstone, std::string(record.wire.view())});
    });
  }
  return all;
}

void Fill(VersionStore& store) {
  std::mt19937_64 random(5);
  for (int64_t main = 2; main < 4000; ++main) {
    store.BeginEntry(Revision(main));
    for (int64_t sub = 0; sub < 1 + main % 2; ++sub) {
      const std::string key = absl::StrCat("key", sub, random() % 900);
      if (random() % 5 == 0 && store.Get(key, kLatest)) {
        store.Delete(sub, key);
      } else {
        store.Put(sub, key, std::string(random() % 200, 'v'), LeaseId(main % 7 == 0 ? main : 0));
      }
    }
    store.CommitEntry();
  }
  store.Compact(Revision(2000));
  while (store.CompactStep(100, kLatest)) {
  }
}

// In `parts` equal parts.
absl::Status Restore(const std::vector<Stored>& image, size_t parts, ParallelRunner& workers,
                     VersionStore* store) {
  store->BeginRestore(parts);
  std::vector<absl::Status> restored(parts);
  workers.ForEach(parts, [&](size_t part) {
    for (size_t i = part * image.size() / parts; i < (part + 1) * image.size() / parts; ++i) {
      const Stored& record = image[i];
      restored[part] = store->Restore(part, record.revision, record.tombstone, record.wire);
      if (!restored[part].ok()) return;
    }
  });
  for (const absl::Status& status : restored) {
    if (!status.ok()) return status;
  }
  LoadProgress progress;
  return store->FinishRestore(workers, progress);
}

class RestoreTest : public ::testing::TestWithParam<std::pair<size_t, size_t>> {};

TEST_P(RestoreTest, GivesTheStoreOfTheImage) {
  HeapMapper original_memory;
  std::unique_ptr<VersionStore> original = VersionStore::CreateEmpty(kOptions, original_memory);
  Fill(*original);
  const std::vector<Stored> image = StoredIn(*original);
  const auto [parts, threads] = GetParam();
  ThreadPool workers("restore", threads);

  HeapMapper memory;
  std::unique_ptr<VersionStore> store = VersionStore::CreateEmpty(kOptions, memory);
  ASSERT_TRUE(Restore(image, parts, workers, store.get()).ok());
  const VersionStore::StartState state{original->current_revision(), original->compact_revision(),
                                       original->stats().last_change};
  store->FinishStart(state);
  store->CheckInvariants();
  EXPECT_EQ(store->stats().state_hash, original->stats().state_hash);
  EXPECT_EQ(store->stats().stored_hash, original->stats().stored_hash);
  EXPECT_EQ(store->stats().logical_live_bytes, original->stats().logical_live_bytes);

  // And a later process takes it for what it is.
  store.reset();
  std::unique_ptr<VersionStore> adopted = VersionStore::Create(kOptions, memory);
  ASSERT_TRUE(adopted->Adopt().ok());
  adopted->FinishStart(state);
  adopted->CheckInvariants();
  const std::vector<Stored> again = StoredIn(*adopted);
  ASSERT_EQ(again.size(), image.size());
  for (size_t i = 0; i < image.size(); ++i) {
    EXPECT_EQ(again[i].revision, image[i].revision);
    EXPECT_EQ(again[i].wire, image[i].wire);
  }
}

INSTANTIATE_TEST_SUITE_P(PartsAndThreads, RestoreTest,
                         ::testing::Values(std::pair(1, 1), std::pair(1, 3), std::pair(7, 1),
                                           std::pair(7, 3), std::pair(64, 2)));

std::string WireOf(int64_t main) {
  KeyValueFields fields;
  const std::string key = absl::StrCat("key", main);
  fields.key = key;
  fields.mod_revision = main;
  std::string wire(EncodedKeyValueSize(fields), '\0');
  EncodeKeyValue(fields, wire.data());
  return wire;
}

TEST(Restore, RefusesWhatIsNoImageAndLeavesNothing) {
  HeapMapper memory;
  std::unique_ptr<VersionStore> store = VersionStore::CreateEmpty(kOptions, memory);
  const size_t empty_bytes = memory.used_bytes();
  InlineParallelRunner alone;
  auto image = [](std::vector<int64_t> mains) {
    std::vector<Stored> records;
    for (int64_t main : mains) records.push_back({{Revision(main), 0}, false, WireOf(main)});
    return records;
  };
  std::vector<Stored> foreign = image({2, 3});
  foreign[1].wire = WireOf(4);
  std::vector<Stored> torn = image({2, 3});
  torn[0].wire.resize(3);
  const std::vector<std::pair<std::vector<Stored>, size_t>> bad = {
      {image({2, 3, 3}), 1},     // twice
      {image({2, 4, 3}), 1},     // going back
      {image({2, 4, 3, 5}), 2},  // parts that overlap
      {image({2, 3, 3, 4}), 2},  // or meet
      {foreign, 1},
      {torn, 1},
  };
  for (const auto& [records, parts] : bad) {
    EXPECT_TRUE(absl::IsDataLoss(Restore(records, parts, alone, store.get())));
    ASSERT_TRUE(store->StartEmpty().ok());
    EXPECT_EQ(store->stats().versions, 0);
    EXPECT_EQ(memory.used_bytes(), empty_bytes);
  }
  ASSERT_TRUE(Restore(image({2, 3, 4}), 2, alone, store.get()).ok());
}

// Died in the middle: what was restored is worth nothing, and goes.
TEST(Restore, HalfOfItIsNotAdopted) {
  HeapMapper memory;
  std::unique_ptr<VersionStore> store = VersionStore::CreateEmpty(kOptions, memory);
  store->BeginRestore(2);
  ASSERT_TRUE(store->Restore(0, {Revision(2), 0}, false, WireOf(2)).ok());
  ASSERT_TRUE(store->Restore(1, {Revision(9), 0}, false, WireOf(9)).ok());
  store.reset();
  store = VersionStore::Create(kOptions, memory);
  const absl::Status adopted = store->Adopt();
  EXPECT_TRUE(!adopted.ok() || store->stats().last_change == Revision(0)) << adopted;
  EXPECT_EQ(store->stats().versions, 0);
}

// The store that took the parts in, and died before it said where it stands.
TEST(Restore, AllOfItIsNotAdoptedBeforeFinishStart) {
  HeapMapper memory;
  std::unique_ptr<VersionStore> store = VersionStore::CreateEmpty(kOptions, memory);
  InlineParallelRunner alone;
  std::vector<Stored> image;
  for (int64_t main = 2; main < 5; ++main)
    image.push_back({{Revision(main), 0}, false, WireOf(main)});
  ASSERT_TRUE(Restore(image, 1, alone, store.get()).ok());
  store.reset();
  store = VersionStore::Create(kOptions, memory);
  EXPECT_TRUE(absl::IsDataLoss(store->Adopt()));
}

TEST(Adopt, CancelledLeavesEverythingForTheNext) {
  HeapMapper memory;
  std::unique_ptr<VersionStore> store = VersionStore::CreateEmpty(kOptions, memory);
  Fill(*store);
  const std::vector<Stored> stored = StoredIn(*store);
  store.reset();
  ThreadPool workers("adopt", 2);
  LoadProgress progress;
  progress.Cancel();
  store = VersionStore::Create(kOptions, memory);
  EXPECT_TRUE(absl::IsCancelled(store->Adopt(workers, progress)));
  store = VersionStore::Create(kOptions, memory);
  ASSERT_TRUE(store->Adopt().ok());
  EXPECT_EQ(StoredIn(*store).size(), stored.size());
}

TEST(Adopt, ReportsItsProgress) {
  HeapMapper memory;
  std::unique_ptr<VersionStore> store = VersionStore::CreateEmpty(kOptions, memory);
  Fill(*store);
  const auto bytes = static_cast<uint64_t>(store->stats().segment_bytes);
  store.reset();
  InlineParallelRunner alone;
  LoadProgress progress;
  store = VersionStore::Create(kOptions, memory);
  ASSERT_TRUE(store->Adopt(alone, progress).ok());
  EXPECT_EQ(progress.Get().total_bytes, bytes);
  EXPECT_EQ(progress.Get().read_bytes, bytes);
  EXPECT_DOUBLE_EQ(progress.Get().done, 1);
}

}  // namespace
}  // namespace tidemark::mvcc
