// A start in which some partitions are held back: what the others serve meanwhile, what waits, and
// what everybody sees once all are whole.
#include <map>
#include <set>

#include "gmock/gmock.h"
#include "src/partition/local_store.h"
#include "src/partition/store_for_test.h"

namespace tidemark::partition {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr size_t kRest = 0;
constexpr size_t kPods = 1;
constexpr char kTimedOut[] = "etcdserver: request timed out";

// Keeps the loading of some partitions until it is told to go on. With one executor the jobs are
// begun in the order of the partitions' ids.
class HeldRunner final : public ParallelRunner {
 public:
  explicit HeldRunner(std::set<size_t> held) : held_(std::move(held)) {}
  void ForEach(size_t count, absl::FunctionRef<void(size_t)> piece) override {
    for (size_t i = 0; i < count; ++i) piece(i);
  }
  void Start(Task job) override {
    const size_t number = begun_++;
    if (held_.contains(number)) {
      waiting_[number] = std::move(job);
    } else {
      job();
    }
  }
  void Release(size_t number) {
    waiting_.at(number)();
    waiting_.erase(number);
  }

 private:
  const std::set<size_t> held_;
  size_t begun_ = 0;
  std::map<size_t, Task> waiting_;
};

template <typename Result>
using Answer = std::shared_ptr<std::optional<absl::StatusOr<kvstore::Reply<Result>>>>;

template <typename Result, typename Call>
Answer<Result> Ask(Call call) {
  auto answer =
      std::make_shared<std::optional<absl::StatusOr<kvstore::Reply<Result>>>>(std::nullopt);
  call(ReplyCallback<Result>([answer](auto reply) { *answer = std::move(reply); }));
  return answer;
}

class EarlyTest : public ::testing::Test {
 protected:
  static LocalStoreOptions Options() {
    LocalStoreOptions options;
    options.quota_bytes = -1;
    options.checkpoints.interval = absl::Seconds(2);
    return options;
  }
  void SetUp() override {
    ASSERT_TRUE(store_.Start().ok());
    ASSERT_TRUE(store_.Grant(5, 1000).ok());
    ASSERT_TRUE(store_.Put("/registry/pods/a", "1", 5).ok());    // 2
    ASSERT_TRUE(store_.Put("/registry/leases/a", "1", 5).ok());  // 3
    ASSERT_TRUE(store_.Put("/registry/zz", "1").ok());           // 4
    ASSERT_TRUE(store_.Put("/registry/pods/b", "1").ok());       // 5
  }
  // Starts again; those held are loaded only when they are released.
  void RestartHolding(std::set<size_t> held) {
    store_.Shut();
    runner_ = std::make_unique<HeldRunner>(held);
    store_.workers = runner_.get();
    ASSERT_TRUE(store_.Begin().ok());
    const size_t others = store_.store().map().size() - held.size();
    ASSERT_TRUE(store_.world().RunUntil([&] { return store_.store().whole_count() == others; },
                                        absl::Seconds(5)));
  }
  void Release(size_t partition) { runner_->Release(partition); }
  void FinishStart() {
    ASSERT_TRUE(store_.AwaitStart().ok());
    store_.world().RunFor(absl::Milliseconds(100));
    store_.store().CheckIdle();
  }

  Answer<kvstore::PutResult> AskPut(const std::string& key) {
    etcdserverpb::PutRequest request;
    request.set_key(key);
    request.set_value("early");
    return Ask<kvstore::PutResult>(
        [&](auto done) { store_.router().Put({}, request, std::move(done)); });
  }
  Answer<kvstore::RangeResult> AskRange(const std::string& key, const std::string& end,
                                        bool serializable = false) {
    etcdserverpb::RangeRequest request;
    request.set_key(key);
    request.set_range_end(end);
    request.set_serializable(serializable);
    return Ask<kvstore::RangeResult>(
        [&](auto done) { store_.router().Range({}, request, std::move(done)); });
  }
  void Watch(WatchStream& stream, const std::string& key, const std::string& end, int64_t id,
             int64_t start = 0) {
    etcdserverpb::WatchCreateRequest request;
    request.set_key(key);
    request.set_range_end(end);
    request.set_watch_id(id);
    request.set_start_revision(start);
    stream.Create(request);
  }
  void Run() { store_.world().RunFor(absl::Milliseconds(50)); }

  StoreForTest store_{Options()};
  std::unique_ptr<HeldRunner> runner_;
};

// A copy of the data directory from before was put in place, and the memory stayed. What was ahead
// of the journal once is not believed either when others wrote meanwhile and the process ended.
TEST_F(EarlyTest, MemoryOfAnotherHistoryIsRefusedBeforeOthersWrite) {
  StoreForTest newer(Options());  // of the same seed: of the same journal
  ASSERT_TRUE(newer.Start().ok());
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(newer.Put("/registry/pods/future" + std::to_string(i), "1").ok());
  }
  newer.Shut();
  store_.Shut();
  ASSERT_EQ(newer.options().identity, store_.options().identity);
  store_.ReplaceMemory(newer.CopyMemory());
  RestartHolding({kPods});
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(store_.Put("/registry/zz", "2").ok());
  RestartHolding({});
  FinishStart();
  const auto pods = store_.Range("/registry/pods/", "/registry/pods0");
  ASSERT_TRUE(pods.ok());
  EXPECT_EQ(pods->result.count, 2);
}

TEST_F(EarlyTest, OthersServeWhileOneIsLoadedAndWhatIsForItWaits) {
  RestartHolding({kPods});
  EXPECT_FALSE(store_.started());
  EXPECT_FALSE(store_.store().IsWhole(PartitionId(kPods)));
  EXPECT_EQ(store_.Range("/registry/leases/a", "")->result.count, 1);
  EXPECT_EQ(store_.Put("/registry/leases/a", "2", 5)->revision, Revision(6));
  const auto put = AskPut("/registry/pods/a");
  auto read = AskRange("/registry/pods/", "/registry/pods0");
  auto stale = AskRange("/registry/pods/b", "", /*serializable=*/true);
  auto wide = AskRange("/registry/leases/", "/registry/zzz");
  const auto grant =
      Ask<LeaseGranted>([&](auto d) { store_.router().LeaseGrant(6, 100, std::move(d)); });
  Run();
  EXPECT_FALSE(put->has_value() || read->has_value() || stale->has_value());
  EXPECT_FALSE(wide->has_value() || grant->has_value());
  EXPECT_EQ(store_.Put("/registry/zz", "2")->revision, Revision(7));

  Release(kPods);
  FinishStart();
  ASSERT_TRUE(put->has_value() && read->has_value() && stale->has_value());
  ASSERT_TRUE(wide->has_value() && grant->has_value());
  EXPECT_EQ((*put)->value().revision, Revision(8));
  EXPECT_EQ((*read)->value().result.count, 2);
  EXPECT_EQ((*stale)->value().result.count, 1);
  EXPECT_EQ((*wide)->value().result.count, 4);
  EXPECT_TRUE((*grant)->ok());
  EXPECT_THAT(store_.TimeToLive(5, true)->result.keys, ElementsAre("/registry/leases/a"));
  // What was written early is as durable as anything.
  const auto hash = store_.HashKv(0);
  read = stale = wide = nullptr;  // they refer to memory
  store_.workers = nullptr;
  ASSERT_TRUE(store_.Restart().ok());
  EXPECT_EQ(store_.HashKv(0)->result.hash, hash->result.hash);
  EXPECT_EQ(store_.router().Status().revision, Revision(8));
}

TEST_F(EarlyTest, AColdStartServesEarlyToo) {
  store_.MakeCheckpoints();
  const Revision before = store_.router().Status().revision;
  store_.Shut();
  store_.LoseMemory();
  RestartHolding({kPods});
  EXPECT_EQ(store_.Put("/registry/leases/a", "2", 5)->revision, before.Next());
  const auto read = AskRange("/registry/pods/", "/registry/pods0");
  Run();
  EXPECT_FALSE(read->has_value());
  Release(kPods);
  FinishStart();
  ASSERT_TRUE(read->has_value());
  EXPECT_EQ((*read)->value().result.count, 2);
  EXPECT_THAT(store_.TimeToLive(5, true)->result.keys,
              ElementsAre("/registry/leases/a", "/registry/pods/a"));
}

TEST_F(EarlyTest, WhatWaitsTooLongIsRefusedAsOfAnUnavailableServer) {
  RestartHolding({kPods});
  const auto put = AskPut("/registry/pods/a");
  const auto read = AskRange("/registry/pods/a", "");
  const auto wide = AskRange("/registry/leases/", "/registry/zzz");
  const auto late = Ask<Nothing>([&](auto done) { store_.router().Barrier(std::move(done)); });
  store_.world().RunFor(absl::Seconds(8));
  for (const absl::Status& status : {put->value().status(), read->value().status(),
                                     wide->value().status(), late->value().status()}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
    EXPECT_EQ(status.message(), kTimedOut);
  }
  Release(kPods);
  FinishStart();
  EXPECT_EQ(store_.Range("/registry/pods/a", "")->revision, Revision(5));
}

TEST_F(EarlyTest, OnlySoManyWait) {
  LocalStoreOptions options = Options();
  options.max_pending_writes = 3;
  store_.SetOptions(options);
  RestartHolding({kPods});
  std::vector<Answer<kvstore::RangeResult>> reads;
  for (int i = 0; i < 4; ++i) reads.push_back(AskRange("/registry/pods/a", ""));
  Run();
  EXPECT_FALSE(reads[2]->has_value());
  ASSERT_TRUE(reads[3]->has_value());
  EXPECT_EQ((*reads[3])->status().message(), "etcdserver: too many requests");
  Release(kPods);
  FinishStart();
  EXPECT_TRUE(reads[0]->value().ok() && reads[2]->value().ok());
}

TEST_F(EarlyTest, AStopAnswersWhatWaits) {
  RestartHolding({kPods});
  const auto read = AskRange("/registry/pods/a", "");
  Run();
  store_.store().Stop();
  Run();
  ASSERT_TRUE(read->has_value());
  EXPECT_EQ((*read)->status().message(), "etcdserver: server stopped");
  Release(kPods);
}

// Alarms are known to the system partition.
TEST_F(EarlyTest, WritesWaitForTheNodesAlarms) {
  ASSERT_TRUE(store_.Alarm(etcdserverpb::AlarmRequest::ACTIVATE, 9, etcdserverpb::CORRUPT).ok());
  RestartHolding({kRest});
  EXPECT_EQ(store_.Range("/registry/leases/a", "")->result.count, 1);
  const auto put = AskPut("/registry/leases/a");
  Run();
  EXPECT_FALSE(put->has_value());
  Release(kRest);
  FinishStart();
  ASSERT_TRUE(put->has_value());
  EXPECT_EQ((*put)->status().message(), "etcdserver: corrupt cluster");
}

// How full the store is shows only when all is loaded.
TEST_F(EarlyTest, DataIsTakenEarlyOnlyWhereThereIsAmpleRoom) {
  LocalStoreOptions options = Options();
  options.quota_bytes = 1 << 20;  // the journal alone is as large
  store_.SetOptions(options);
  RestartHolding({kPods});
  const auto put = AskPut("/registry/leases/a");
  etcdserverpb::DeleteRangeRequest deletion;
  deletion.set_key("/registry/leases/a");
  EXPECT_EQ(store_.DeleteRange(deletion)->result.deleted, 1);
  EXPECT_FALSE(put->has_value());
  Release(kPods);
  FinishStart();
  ASSERT_TRUE(put->has_value());
  EXPECT_TRUE((*put)->ok());
  EXPECT_THAT(store_.router().Status().alarms, SizeIs(0));
}

TEST_F(EarlyTest, WatchesAreCreatedAtOnceAndHearOfAPartitionWhenItIsWhole) {
  RestartHolding({kPods});
  RecordingOutput output;
  auto stream = store_.router().OpenWatch(store_.client(), output);
  Watch(*stream, "/registry/pods/", "/registry/pods0", 1, 2);
  Watch(*stream, "/registry/leases/", "/registry/leases0", 2, 2);
  Watch(*stream, "/registry/", "/registry0", 3, 2);
  Watch(*stream, "/registry/pods/", "/registry/pods0", 4);
  Watch(*stream, "/registry/pods/", "/registry/pods0", 5, 2);
  stream->Cancel(5);
  Run();
  EXPECT_THAT(output.LinesWith("created"), SizeIs(5));
  EXPECT_THAT(output.LinesWith("canceled 5"), SizeIs(1));
  EXPECT_THAT(output.LinesWith("event 2"), SizeIs(1));
  EXPECT_EQ(store_.Put("/registry/leases/b", "x")->revision, Revision(6));
  stream->RequestProgress();
  Run();
  EXPECT_THAT(output.LinesWith("event 2"), SizeIs(2));
  EXPECT_THAT(output.LinesWith("event 1"), SizeIs(0));
  EXPECT_THAT(output.LinesWith("event 3"), SizeIs(0));
  EXPECT_THAT(output.progress, SizeIs(0));

  Release(kPods);
  FinishStart();
  ASSERT_TRUE(store_.Put("/registry/pods/c", "x").ok());  // 7
  Run();
  EXPECT_THAT(
      output.LinesWith("event 1"),
      ElementsAre(StartsWith("event 1 2."), StartsWith("event 1 5."), StartsWith("event 1 7.")));
  EXPECT_THAT(
      output.LinesWith("event 3"),
      ElementsAre(StartsWith("event 3 2."), StartsWith("event 3 3."), StartsWith("event 3 4."),
                  StartsWith("event 3 5."), StartsWith("event 3 6."), StartsWith("event 3 7.")));
  EXPECT_THAT(output.LinesWith("event 4"), ElementsAre(StartsWith("event 4 7.")));
  EXPECT_THAT(output.LinesWith("event 5"), SizeIs(0));
  stream->RequestProgress();
  Run();
  EXPECT_THAT(output.progress, ElementsAre(std::pair(int64_t{-1}, Revision(7))));
}

// A stream that ends leaves nothing waiting at a partition.
TEST_F(EarlyTest, WatchesMayEndBeforeTheirPartitionIsWhole) {
  RestartHolding({kRest, kPods});
  RecordingOutput output;
  auto stream = store_.router().OpenWatch(store_.client(), output);
  Watch(*stream, "/registry/pods/", "/registry/pods0", 1);
  Watch(*stream, "", std::string(1, '\0'), 2);
  Run();
  EXPECT_THAT(output.lines, ElementsAre("created 1 at 5", "created 2 at 5"));
  stream = nullptr;
  Release(kPods);
  Release(kRest);
  FinishStart();
  EXPECT_EQ(store_.router().Status().watchers, 0);
}

TEST(EarlyFirstStartTest, ThePartitionMapIsWrittenOnceAndBeforeAnyData) {
  StoreForTest store(LocalStoreOptions{});
  HeldRunner runner({kPods});
  store.workers = &runner;
  ASSERT_TRUE(store.Begin().ok());
  ASSERT_TRUE(
      store.world().RunUntil([&] { return store.store().whole_count() == 4; }, absl::Seconds(5)));
  EXPECT_EQ(store.Put("/registry/leases/a", "1")->revision, Revision(2));
  runner.Release(kPods);
  ASSERT_TRUE(store.AwaitStart().ok());
  EXPECT_EQ(store.Put("/registry/pods/a", "1")->revision, Revision(3));
  store.workers = nullptr;
  ASSERT_TRUE(store.Restart().ok());
  EXPECT_EQ(store.Range("/", "0")->result.count, 2);
  LocalStoreOptions other;
  other.map = PartitionMap::Single();
  EXPECT_EQ(store.Restart(other).code(), absl::StatusCode::kFailedPrecondition);
}

// Nothing is trimmed before all partitions are whole: the disk may fill up meanwhile.
TEST_F(EarlyTest, AClaimThatIsRefusedWaitsWhereOthersServe) {
  store_.journal_segment_bytes = 1 << 16;
  RestartHolding({kPods});
  store_.FillDisk("/registry/leases/fill");
  Release(kPods);
  store_.world().RunFor(absl::Seconds(10));
  EXPECT_FALSE(store_.started());
  EXPECT_EQ(store_.Range("/registry/leases/a", "/registry/leases/b")->result.count, 1);
  store_.disk().ClearFaults();
  FinishStart();
  EXPECT_EQ(store_.Range("/registry/pods/a", "/registry/pods/c")->result.count, 2);
  EXPECT_TRUE(store_.Put("/registry/pods/c", "1").ok());
}

// With entries that reach each subscription at a time of its own, partitions of one thread are at
// different places when their subscriptions become one.
TEST(EarlyTrafficTest, NothingIsLostWhenTheSubscriptionsOfAStartBecomeOne) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    StoreForTest store(LocalStoreOptions{}, seed);
    store.journal_delay_max = absl::Milliseconds(5);
    HeldRunner runner({kPods});
    store.workers = &runner;
    ASSERT_TRUE(store.Begin().ok());
    ASSERT_TRUE(
        store.world().RunUntil([&] { return store.store().whole_count() == 4; }, absl::Seconds(5)));
    runner.Release(kPods);
    std::vector<Answer<kvstore::PutResult>> puts;
    int after = 0;
    while (after < 20) {
      etcdserverpb::PutRequest request;
      request.set_key(absl::StrCat(
          puts.size() % 2 == 0 ? "/registry/leases/" : "/registry/minions/", puts.size()));
      puts.push_back(Ask<kvstore::PutResult>(
          [&](auto done) { store.router().Put({}, request, std::move(done)); }));
      store.world().RunFor(absl::Microseconds(200));
      if (store.started()) ++after;
    }
    store.world().RunFor(absl::Seconds(1));
    for (const auto& put : puts) ASSERT_TRUE(put->has_value() && (*put)->ok()) << seed;
    store.store().CheckIdle();
    const auto hash = store.HashKv(0);
    store.workers = nullptr;
    ASSERT_TRUE(store.Restart().ok());
    EXPECT_EQ(store.HashKv(0)->result.hash, hash->result.hash);
  }
}

// More partitions than subscriptions of a start.
TEST(EarlyManyTest, ManyPartitionsStartInGroups) {
  std::vector<PartitionMap::Named> named;
  for (int i = 10; i < 40; ++i)
    named.push_back({absl::StrCat("p", i), {absl::StrCat("/", i, "/")}});
  LocalStoreOptions options;
  options.map = *PartitionMap::Create(named);
  StoreForTest store(options, 3, 2);
  ASSERT_TRUE(store.Start().ok());
  for (int i = 10; i < 40; ++i) ASSERT_TRUE(store.Put(absl::StrCat("/", i, "/a"), "v").ok());
  ASSERT_TRUE(store.Restart().ok());
  EXPECT_EQ(store.Range("/", "0")->result.count, 30);
  EXPECT_EQ(store.Put("/10/a", "w")->revision, Revision(32));
  store.store().CheckIdle();
}

}  // namespace
}  // namespace tidemark::partition
