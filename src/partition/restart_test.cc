// A store over restarts: warm, cold, and when what it should start from is damaged or not its own.
#include "gmock/gmock.h"
#include "src/partition/local_store.h"
#include "src/partition/store_for_test.h"

namespace tidemark::partition {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr PartitionId kPods{1};

LocalStoreOptions Options() {
  LocalStoreOptions options;
  options.checkpoints.interval = absl::Seconds(2);
  options.checkpoints.records_per_step = 3;
  return options;
}

// A little of everything that has to survive; returns what the state is known by.
struct State {
  Revision revision;
  uint32_t hash = 0;
  std::vector<uint64_t> state_hashes;
  friend bool operator==(const State&, const State&) = default;
};

State StateOf(StoreForTest& store) {
  State state;
  state.revision = store.router().Status().revision;
  state.hash = store.HashKv(0)->result.hash;
  for (PartitionId id : store.store().map().ids()) {
    state.state_hashes.push_back(store.store().replica(id).stats().state_hash);
  }
  return state;
}

void Write(StoreForTest& store, int from, int to) {
  for (int i = from; i < to; ++i) {
    const std::string n = std::to_string(i % 7);
    ASSERT_TRUE(store.Put("/registry/pods/" + n, std::to_string(i)).ok());
    ASSERT_TRUE(store.Put("/registry/leases/" + n, std::to_string(i), i % 3 == 0 ? 5 : 0).ok());
    if (i % 5 == 4) {
      etcdserverpb::DeleteRangeRequest deletion;
      deletion.set_key("/registry/pods/" + n);
      ASSERT_TRUE(store.DeleteRange(deletion).ok());
    }
  }
}

class RestartTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(store_.Start().ok());
    ASSERT_TRUE(store_.Grant(5, 1000).ok());
    ASSERT_TRUE(store_.Alarm(etcdserverpb::AlarmRequest::ACTIVATE, 9, etcdserverpb::NONE).ok());
    Write(store_, 0, 20);
    ASSERT_TRUE(store_.Compact(10, true).ok());
    Write(store_, 20, 40);
  }
  // The state after another start, which must be the one before it.
  void ExpectSameAfterRestart() {
    const State before = StateOf(store_);
    ASSERT_TRUE(store_.Restart().ok());
    EXPECT_EQ(StateOf(store_), before);
    EXPECT_EQ(store_.router().Status().compact_revision, Revision(10));
    EXPECT_THAT(store_.TimeToLive(5, true)->result.keys, SizeIs(::testing::Gt(0u)));
    store_.store().CheckIdle();
  }
  StoreForTest store_{Options()};
};

TEST_F(RestartTest, S6_WarmColdAndReplayReachTheSameState) {
  ExpectSameAfterRestart();  // warm, the whole journal is there
  store_.Shut();
  store_.LoseMemory();
  ASSERT_TRUE(store_.Start().ok());
  ExpectSameAfterRestart();
  store_.MakeCheckpoints();
  EXPECT_GT(store_.journal().KnownFirst(), Position(1));
  Write(store_, 40, 50);
  ExpectSameAfterRestart();  // warm over a trimmed journal
  const State before = StateOf(store_);
  store_.Shut();
  store_.LoseMemory();
  ASSERT_TRUE(store_.Start().ok());  // cold
  EXPECT_EQ(StateOf(store_), before);
  Write(store_, 50, 60);
  ExpectSameAfterRestart();
}

TEST_F(RestartTest, IncrementsHoldWhatWasAddedAndLackWhatWasRemoved) {
  store_.MakeCheckpoints();
  const int64_t whole = store_.store().checkpoint_stats().whole;
  ASSERT_TRUE(store_.Put("/registry/pods/one more", "x").ok());
  ASSERT_TRUE(store_.Compact(12, true).ok());
  store_.MakeCheckpoints();
  EXPECT_GT(store_.store().checkpoint_stats().increments, 0);
  EXPECT_EQ(store_.store().checkpoint_stats().whole, whole);
  const State before = StateOf(store_);
  store_.Shut();
  store_.LoseMemory();
  ASSERT_TRUE(store_.Start().ok());
  EXPECT_EQ(StateOf(store_), before);
}

TEST_F(RestartTest, ALeasesRemainingTimeIsInTheCheckpoint) {
  store_.world().RunFor(absl::Seconds(600));
  store_.MakeCheckpoints();
  store_.Shut();
  store_.LoseMemory();
  ASSERT_TRUE(store_.Start().ok());
  const LeaseLife life = store_.TimeToLive(5, false)->result;
  EXPECT_EQ(life.granted_seconds, 1000);
  EXPECT_LE(life.remaining_seconds, 1000 / 2);  // the journal hears of it at half of the TTL
}

TEST_F(RestartTest, ADamagedCheckpointIsReplacedByTheJournalWhileThatIsWhole) {
  store_.MakeCheckpoints();  // trims nothing: all is in one segment
  const State before = StateOf(store_);
  store_.Shut();
  store_.LoseMemory();
  ASSERT_TRUE(store_.checkpoints().FlipRecordBit(kPods, 0, 20, 1).ok());
  ASSERT_TRUE(store_.Start().ok());
  EXPECT_EQ(StateOf(store_), before);
}

// A partition whose checkpoint is of no use replays all that others of its thread have behind them:
// what was compacted meanwhile must not pile up.
TEST(ReplayTest, APartitionIsCompactedByWhatItAppliedItself) {
  LocalStoreOptions options = Options();
  std::string text;  // as many as share a subscription
  for (int i = 0; i < 47; ++i) absl::StrAppend(&text, "p", i, "=/p", i, "/;");
  options.map = *PartitionMap::Parse(text + "pods=/registry/pods/");
  const PartitionId pods = options.map.Owner("/registry/pods/a");
  StoreForTest store(options);
  store.journal_segment_bytes = 64 << 20;  // nothing is trimmed
  ASSERT_TRUE(store.Start().ok());
  for (int i = 0; i < 2400; ++i) {
    ASSERT_TRUE(store.Put("/registry/pods/a", std::string(20'000, 'v')).ok());
    if (i % 20 == 19) {
      ASSERT_TRUE(store.Compact(i, true).ok());
    }
  }
  store.MakeCheckpoints();
  store.Shut();
  store.LoseMemory();
  ASSERT_TRUE(store.checkpoints().FlipRecordBit(pods, 0, 20, 1).ok());
  store.memory().SetCapacityBytes(28 << 20);  // 48 MB are replayed
  ASSERT_TRUE(store.Start().ok());
  EXPECT_EQ(store.router().Status().compact_revision, Revision(2399));
}

// J9: the next checkpoints fail, and the journal, which has everything, must not be trimmed behind
// one that is known to be damaged.
TEST(CheckpointRoundsTest, ADamagedCheckpointCountsForNothing) {
  LocalStoreOptions options;
  options.checkpoints.interval = absl::Minutes(20);
  for (const bool warm : {true, false}) {
    StoreForTest store(options);
    ASSERT_TRUE(store.Start().ok());
    ASSERT_TRUE(store.Put("/registry/pods/a", "1").ok());
    store.MakeCheckpoints();  // all is in one segment, which stays
    store.Shut();
    if (!warm) store.LoseMemory();
    ASSERT_TRUE(store.checkpoints().FlipRecordBit(kPods, 0, 20, 1).ok());
    ASSERT_TRUE(store.Start().ok());
    ASSERT_EQ(store.journal().KnownFirst(), Position(1));
    store.checkpoints().FailAddsAfter(0);
    store.world().RunFor(absl::Hours(1));
    EXPECT_GT(store.store().checkpoint_stats().failures, 0);
    EXPECT_EQ(store.journal().KnownFirst(), Position(1));
    store.checkpoints().ClearFaults();
    store.MakeCheckpoints();
    EXPECT_GT(store.journal().KnownFirst(), Position(1));
  }
}

TEST(TrimmedJournalTest, ADamagedCheckpointOverItIsAnErrorThatSaysWhatToDo) {
  StoreForTest store(Options());
  store.journal_segment_bytes = 1 << 12;
  ASSERT_TRUE(store.Start().ok());
  ASSERT_TRUE(store.Grant(5, 1000).ok());
  Write(store, 0, 40);
  store.MakeCheckpoints();
  store.Shut();
  store.LoseMemory();
  ASSERT_TRUE(store.checkpoints().FlipRecordBit(kPods, 0, 20, 1).ok());
  const absl::Status status = store.Start();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("partition pods: the checkpoint at position"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("cannot replace it"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("restore the data directory from a copy"));
}

TEST_F(RestartTest, WarmMemoryMakesADamagedCheckpointHarmless) {
  store_.MakeCheckpoints();
  const State before = StateOf(store_);
  store_.Shut();
  ASSERT_TRUE(store_.checkpoints().FlipRecordBit(kPods, 0, 20, 1).ok());
  ASSERT_TRUE(store_.Start().ok());
  EXPECT_EQ(StateOf(store_), before);
}

// It may be the only copy: nothing is thrown away for a short want of descriptors.
TEST_F(RestartTest, MemoryThatCannotBeOpenedIsNotThrownAway) {
  store_.MakeCheckpoints();
  const State before = StateOf(store_);
  store_.Shut();
  ASSERT_TRUE(store_.checkpoints().FlipRecordBit(kPods, 0, 20, 1).ok());
  int failures = 0;
  absl::Status started;
  do {
    ASSERT_LT(failures, 100);
    store_.memory().FailOpenAfter(failures);
    started = store_.Start();
    if (started.ok()) break;
    ++failures;
    EXPECT_TRUE(absl::IsUnavailable(started)) << started;
    EXPECT_THAT(std::string(started.message()), HasSubstr("cannot be opened"));
    store_.Shut();
  } while (true);
  EXPECT_GT(failures, 10);  // the table of each partition, twice, and segments
  EXPECT_EQ(StateOf(store_), before);
}

TEST_F(RestartTest, AnotherMapThanTheCheckpointsIsRefused) {
  store_.MakeCheckpoints();
  LocalStoreOptions other = Options();
  other.map = PartitionMap::Single();
  const absl::Status status = store_.Restart(other);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("another partition map"));
}

TEST_F(RestartTest, MemoryOfAnOlderTimeIsNotBelieved) {
  store_.Shut();
  const StoreForTest::Memory old = store_.CopyMemory();
  ASSERT_TRUE(store_.Start().ok());
  Write(store_, 40, 60);
  store_.MakeCheckpoints();
  const State before = StateOf(store_);
  store_.Shut();
  store_.ReplaceMemory(old);
  ASSERT_TRUE(store_.Start().ok());
  EXPECT_EQ(StateOf(store_), before);
}

// A copy of the data directory went on by itself, further than this one; then it comes back to
// where this one's memory still is.
TEST_F(RestartTest, MemoryOfAnotherHistoryIsNotBelieved) {
  LocalStoreOptions options = Options();
  options.checkpoints.interval = absl::Hours(10);  // none that is newer than that memory
  StoreForTest copy(options);                      // of the same seed: of the same journal
  ASSERT_TRUE(copy.Start().ok());
  ASSERT_TRUE(copy.Grant(5, 1000).ok());
  copy.Shut();
  copy.world().random().Next();  // chance differs from here on
  ASSERT_TRUE(copy.Start().ok());
  Write(copy, 7, 60);
  const State before = StateOf(copy);
  copy.Shut();
  ASSERT_TRUE(store_.Restart().ok());
  ASSERT_LT(StateOf(store_).revision, before.revision);
  store_.Shut();
  ASSERT_EQ(copy.options().identity, store_.options().identity);
  copy.ReplaceMemory(store_.CopyMemory());
  ASSERT_TRUE(copy.Start().ok());
  EXPECT_EQ(StateOf(copy), before);
}

// The same, but what this one did beside the copy was only a compaction: of revisions that the copy
// still has.
TEST_F(RestartTest, MemoryThatWasCompactedInAnotherHistoryIsNotBelieved) {
  LocalStoreOptions options = Options();
  options.checkpoints.interval = absl::Hours(10);
  ASSERT_TRUE(store_.Restart(options).ok());
  const State before = StateOf(store_);
  std::unique_ptr<sim::SimDisk> copied = store_.disk().CloneDurable();
  ASSERT_TRUE(store_.Compact(before.revision.value() - 5, /*physical=*/true).ok());
  store_.Shut();
  store_.ReplaceDisk(std::move(copied));
  ASSERT_TRUE(store_.Start().ok());
  EXPECT_EQ(store_.router().Status().compact_revision, Revision(10));
  EXPECT_EQ(StateOf(store_), before);
}

TEST(CheckpointRoundsTest, HurryWhenTheJournalOutgrowsItsBound) {
  LocalStoreOptions options = Options();
  options.checkpoints.interval = absl::Hours(10);
  options.checkpoints.journal_bytes = 8 << 20;
  StoreForTest store(options);
  ASSERT_TRUE(store.Start().ok());
  store.world().RunFor(absl::Seconds(2));
  EXPECT_FALSE(store.checkpoints().hurries());
  store.checkpoints().FailCommits(sim::MemoryCheckpointStore::CommitFault::kNoSpace);
  const auto write = [&store](int mebibytes) {
    for (int i = 0; i < mebibytes; ++i) {
      ASSERT_TRUE(store.Put("k", std::string(1 << 20, 'v')).ok());
    }
  };
  write(12);
  store.world().RunFor(absl::Seconds(2));
  EXPECT_TRUE(store.checkpoints().hurries());
  store.checkpoints().ClearFaults();
  write(4);
  store.world().RunFor(absl::Seconds(20));
  EXPECT_FALSE(store.checkpoints().hurries());
}

TEST_F(RestartTest, NoSpaceForACheckpointKeepsTheJournalAndIsTriedAgain) {
  store_.checkpoints().FailAddsAfter(4);
  store_.world().RunFor(absl::Seconds(20));
  EXPECT_GT(store_.store().checkpoint_stats().failures, 0);
  EXPECT_EQ(store_.journal().KnownFirst(), Position(1));
  store_.checkpoints().ClearFaults();
  Write(store_, 40, 42);
  store_.MakeCheckpoints();
  EXPECT_GT(store_.journal().KnownFirst(), Position(1));
}

// A quiet partition wastes too little for a whole one, but each increment is one more file.
TEST(CheckpointRoundsTest, ManyIncrementsEndInAWholeOne) {
  LocalStoreOptions options = Options();
  options.checkpoints.increments_max = 3;
  StoreForTest store(options);
  ASSERT_TRUE(store.Start().ok());
  ASSERT_TRUE(store.Grant(5, 1000).ok());
  Write(store, 0, 100);
  const CheckpointStats& stats = store.store().checkpoint_stats();
  const auto round = [&store, &stats] {
    const int64_t rounds = stats.rounds;
    ASSERT_TRUE(store.Put("one more", "x").ok());
    ASSERT_TRUE(store.world().RunUntil([&] { return stats.rounds > rounds; }, absl::Minutes(30)));
  };
  store.MakeCheckpoints();
  const auto partitions = static_cast<int64_t>(store.store().map().ids().size());
  std::vector<int64_t> whole;
  for (int i = 0; i < 9; ++i) {
    const int64_t before = stats.whole;
    round();
    whole.push_back(stats.whole - before);
  }
  // Of all partitions together, once in four rounds.
  EXPECT_EQ(std::count(whole.begin(), whole.end(), 0),
            9 - std::count(whole.begin(), whole.end(), partitions));
  EXPECT_THAT(std::count(whole.begin(), whole.end(), partitions),
              ::testing::AllOf(::testing::Ge(2), ::testing::Le(3)));
}

// By its size alone: what a round left behind it counts, not what was there before the trim.
TEST(CheckpointRoundsTest, KeepTheJournalAsSmallForEver) {
  LocalStoreOptions options;
  options.checkpoints.interval = absl::Hours(100);
  options.checkpoints.journal_bytes = 64 << 10;
  StoreForTest store(options);
  store.journal_segment_bytes = 4096;
  ASSERT_TRUE(store.Start().ok());
  for (int i = 0; i < 200; ++i) {
    ASSERT_TRUE(store.Put("/registry/pods/" + std::to_string(i % 7), std::string(8000, 'v')).ok());
    store.world().RunFor(absl::Seconds(2));
    EXPECT_LE(store.journal().stats().log.size_bytes.load(), size_t{2} * (64 << 10)) << i;
  }
  EXPECT_GE(store.store().checkpoint_stats().rounds, 10);
}

TEST(CheckpointRoundsTest, WithoutSpaceForThemTheJournalKeepsNoFilesForLater) {
  StoreForTest store(Options());
  store.journal_segment_bytes = 16384;
  ASSERT_TRUE(store.Start().ok());
  const auto write = [&store](int count) {
    for (int i = 0; i < count; ++i) {
      ASSERT_TRUE(store.Put("/registry/pods/a", std::string(2000, 'v')).ok());
    }
    store.world().RunFor(absl::Seconds(5));  // more than a round
  };
  const auto kept_files = [&store] {
    const std::vector<std::string> names = *store.disk().List("/data/journal");
    return std::count_if(names.begin(), names.end(),
                         [](const std::string& name) { return name.starts_with("kept-"); });
  };
  write(60);
  ASSERT_GT(kept_files(), 5);
  store.checkpoints().FailAddsAfter(0);
  write(1);
  ASSERT_GT(store.store().checkpoint_stats().failures, 0);
  EXPECT_EQ(kept_files(), 0);
}

}  // namespace
}  // namespace tidemark::partition
