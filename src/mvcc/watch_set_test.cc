#include "src/mvcc/watch_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "proto/rpc.pb.h"
#include "src/base/heap_mapper_for_test.h"

namespace tidemark::mvcc {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr absl::string_view kZero("\0", 1);

class FakeSink final : public WatchSink {
 public:
  bool HasRoom() override { return room > 0; }
  void OnEvents(WatcherId id, EventBatchPtr batch, Revision header_revision) override {
    EXPECT_GT(room, 0) << "offered events without room";
    --room;
    batches.push_back(batch);
    std::string line = std::to_string(header_revision.value()) + ":";
    for (const Event& event : batch->events()) {
      line += event.type == Event::Type::kPut ? " +" : " -";
      line.append(event.key.data(), event.key.size());
      line += std::to_string(event.revision.main.value());
    }
    lines[id].push_back(line);
  }
  void OnCompacted(WatcherId id, Revision compact_revision) override {
    lines[id].push_back("compacted " + std::to_string(compact_revision.value()));
  }

  int room = 1000000;
  std::map<WatcherId, std::vector<std::string>> lines;
  std::vector<EventBatchPtr> batches;
};

class WatchSetTest : public ::testing::Test {
 protected:
  struct Op {
    std::string key;
    bool remove = false;
    std::string value = "v";
  };
  Revision Entry(const std::vector<Op>& ops) {
    const Revision main = store_->current_revision().Next();
    store_->BeginEntry(main);
    int64_t sub = 0;
    for (const Op& op : ops) {
      if (op.remove)
        store_->Delete(sub++, op.key);
      else
        store_->Put(sub++, op.key, op.value, LeaseId(0));
    }
    watches_->Notify(main, store_->CommitEntry());
    watches_->CheckInvariants();
    return main;
  }
  WatcherId Watch(const KeyRangeView& range, int64_t start) {
    WatchSpec spec;
    spec.range = KeyRange(range);
    spec.start = Revision(start);
    spec.sink = &sink_;
    return watches_->Add(std::move(spec));
  }
  void CatchUp(int64_t max_scanned = 3) {
    for (int i = 0; watches_->CatchUpStep(max_scanned); ++i) {
      watches_->CheckInvariants();
      ASSERT_LT(i, 10000) << "catching up does not end";
    }
    watches_->CheckInvariants();
  }
  static KeyRangeView All() { return FromEtcd(kZero, kZero); }

  HeapMapper memory_;
  std::unique_ptr<VersionStore> store_ =
      VersionStore::CreateEmpty({.name = "test", .segment_size_bytes = 4096}, memory_);
  std::unique_ptr<WatchSet> watches_ =
      WatchSet::Create(*store_, {.max_revisions_per_batch = 2, .max_bytes_per_batch = 1 << 20});
  FakeSink sink_;
};

TEST_F(WatchSetTest, LiveEventsOfOneRevisionComeInOneBatch) {
  const WatcherId prefix = Watch(FromEtcd("a", "b"), 2);
  const WatcherId exact = Watch(FromEtcd("b", ""), 2);
  EXPECT_TRUE(watches_->IsSynced(prefix));
  Entry({{"a1"}, {"b"}, {"a2"}});
  Entry({{"c"}});
  Entry({{"a1", true}});
  EXPECT_THAT(sink_.lines[prefix], ElementsAre("2: +a12 +a22", "4: -a14"));
  EXPECT_THAT(sink_.lines[exact], ElementsAre("2: +b2"));
}

TEST_F(WatchSetTest, HistoryComesFirstAtMostSoManyRevisionsABatch) {
  for (int i = 0; i < 5; ++i) Entry({{"a"}, {"x"}});
  const WatcherId id = Watch(FromEtcd("a", ""), 3);
  EXPECT_FALSE(watches_->IsSynced(id));
  EXPECT_EQ(watches_->behind_count(), 1);
  EXPECT_THAT(sink_.lines[id], IsEmpty());
  CatchUp();
  EXPECT_THAT(sink_.lines[id], ElementsAre("6: +a3 +a4", "6: +a5 +a6"));
  EXPECT_TRUE(watches_->IsSynced(id));
  Entry({{"a"}});
  EXPECT_EQ(sink_.lines[id].back(), "7: +a7");
}

TEST_F(WatchSetTest, WalkNeverSplitsARevision) {
  Entry({{"a"}, {"b"}, {"c"}, {"d"}, {"e"}});
  const WatcherId id = Watch(All(), 1);
  CatchUp(2);
  EXPECT_THAT(sink_.lines[id], ElementsAre("2: +a2 +b2 +c2 +d2 +e2"));
}

// etcd #20221.
TEST_F(WatchSetTest, FutureStartFiltersEventsAndIsNotSynced) {
  const WatcherId id = Watch(All(), 4);
  EXPECT_FALSE(watches_->IsSynced(id));
  Entry({{"a"}});
  EXPECT_FALSE(watches_->IsSynced(id));
  Entry({{"a"}});
  EXPECT_TRUE(watches_->IsSynced(id));  // the next revision is the first wanted
  Entry({{"a"}});
  EXPECT_THAT(sink_.lines[id], ElementsAre("4: +a4"));
}

TEST_F(WatchSetTest, WithoutRoomAWatcherBecomesACursorAndMissesNothing) {
  const WatcherId id = Watch(All(), 2);
  sink_.room = 1;
  for (int i = 0; i < 4; ++i) Entry({{"a"}});
  EXPECT_THAT(sink_.lines[id], ElementsAre("2: +a2"));
  EXPECT_EQ(watches_->behind_count(), 1);
  EXPECT_FALSE(watches_->CatchUpStep(100));
  sink_.room = 1;
  EXPECT_FALSE(watches_->CatchUpStep(100)) << "fed before Resume";
  watches_->Resume(&sink_);
  CatchUp();
  EXPECT_THAT(sink_.lines[id], ElementsAre("2: +a2", "5: +a3 +a4"));
  EXPECT_FALSE(watches_->IsSynced(id));
  sink_.room = 5;
  watches_->Resume(&sink_);
  CatchUp();
  Entry({{"a"}});
  EXPECT_THAT(sink_.lines[id], ElementsAre("2: +a2", "5: +a3 +a4", "5: +a5", "6: +a6"));
}

// etcd #17529.
TEST_F(WatchSetTest, OvertakenCursorEndsWithOnCompacted) {
  for (int i = 0; i < 4; ++i) Entry({{"a"}});
  const WatcherId overtaken = Watch(All(), 3);
  const WatcherId at_compaction = Watch(All(), 4);
  const WatcherId synced = Watch(All(), 6);
  store_->Compact(Revision(4));
  CatchUp();
  EXPECT_THAT(sink_.lines[overtaken], ElementsAre("compacted 4"));
  EXPECT_THAT(sink_.lines[at_compaction], ElementsAre("5: +a4 +a5"));
  EXPECT_THAT(sink_.lines[synced], IsEmpty());
  EXPECT_EQ(watches_->watcher_count(), 2);
  EXPECT_FALSE(watches_->IsSynced(overtaken));
  watches_->Remove(overtaken);
}

TEST_F(WatchSetTest, FiltersDropEventsAndEmptyRevisions) {
  WatchSpec spec;
  spec.range = KeyRange(All());
  spec.start = Revision(2);
  spec.no_put = true;
  spec.sink = &sink_;
  const WatcherId live = watches_->Add(spec);
  Entry({{"a"}});
  Entry({{"a", true}, {"b"}});
  EXPECT_THAT(sink_.lines[live], ElementsAre("3: -a3"));
  const WatcherId history = watches_->Add(spec);
  CatchUp();
  EXPECT_THAT(sink_.lines[history], ElementsAre("3: -a3"));
}

TEST_F(WatchSetTest, EqualViewsShareOneBatchLiveAndFromHistory) {
  for (int i = 0; i < 6; ++i) Watch(FromEtcd("a", "b"), 2);
  Entry({{"a"}});
  ASSERT_EQ(sink_.batches.size(), 6u);
  for (const EventBatchPtr& batch : sink_.batches) EXPECT_EQ(batch, sink_.batches[0]);
  sink_.batches.clear();
  for (int i = 0; i < 6; ++i) Watch(FromEtcd("a", "c"), 2);
  CatchUp();
  ASSERT_EQ(sink_.batches.size(), 6u);
  for (const EventBatchPtr& batch : sink_.batches) EXPECT_EQ(batch, sink_.batches[0]);
}

TEST_F(WatchSetTest, CaughtUpBeforeNotifyIsNotToldTwice) {
  const WatcherId id = Watch(All(), 1);
  store_->BeginEntry(Revision(2));
  store_->Put(0, "a", "v", LeaseId(0));
  auto events = store_->CommitEntry();
  CatchUp();
  watches_->Notify(Revision(2), events);
  EXPECT_THAT(sink_.lines[id], ElementsAre("2: +a2"));
}

TEST_F(WatchSetTest, EncodedBatchIsWhatProtobufReads) {
  WatchSpec spec;
  spec.range = KeyRange(All());
  spec.start = Revision(2);
  spec.prev_kv = true;
  spec.sink = &sink_;
  watches_->Add(spec);
  const std::string large(5000, 'L');
  Entry({{"a", false, large}, {"b", false, "small"}});
  Entry({{"a", true}, {"b", false, large}});
  for (const EventBatchPtr& batch : sink_.batches) {
    etcdserverpb::WatchResponse response;
    ASSERT_TRUE(response.ParseFromString(batch->Encoded().Flatten()));
    EXPECT_EQ(batch->Encoded().size_bytes(), batch->encoded_size_bytes());
    EXPECT_EQ(response.SerializeAsString(), batch->Encoded().Flatten());
    ASSERT_EQ(response.events_size(), 2);
    for (int i = 0; i < 2; ++i) {
      const Event& event = batch->events()[static_cast<size_t>(i)];
      EXPECT_EQ(response.events(i).type() == mvccpb::Event::DELETE,
                event.type == Event::Type::kDelete);
      EXPECT_EQ(response.events(i).kv().SerializeAsString(), std::string(event.kv.view()));
      EXPECT_EQ(response.events(i).has_prev_kv(), event.prev_kv.has_value());
    }
  }
  // Large values are referred to, not copied. The last batch: what leads to a's former value, that,
  // what leads to b's new value, that, and b's former value.
  EXPECT_EQ(sink_.batches.back()->Encoded().runs().size(), 5u);
}

}  // namespace
}  // namespace tidemark::mvcc
