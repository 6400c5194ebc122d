#include "src/journal/embedded_journal.h"

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/sim/env/crash.h"
#include "tests/sim/env/seeded_random.h"
#include "tests/sim/env/sim_disk.h"
#include "tests/sim/env/world.h"

namespace tidemark::journal {
namespace {

constexpr PartitionId kPods{1};
constexpr PartitionId kNodes{2};
constexpr OriginId kOrigin{500};

// Whether files can be written past the page cache.
class EmbeddedJournalTest : public ::testing::TestWithParam<bool> {
 protected:
  EmbeddedJournalTest() : world_(7), crashes_(world_.random()), disk_(world_.random()) {
    if (GetParam()) disk_.SetDirectWrites(sim::SimDisk::kAllDirectWrites);
    options_.directory = "/data/journal";
    options_.segment_bytes = 16384;
    options_.file_system = &disk_;
    options_.clock = &world_.clock();
    options_.random = &world_.random();
    Open();
  }

  void Open() {
    executor_ = world_.NewExecutor("journal");
    runner_ = world_.NewBlockingRunner("disk", absl::Microseconds(50), absl::Milliseconds(2));
    options_.executor = executor_.get();
    options_.runner = runner_.get();
    auto journal = EmbeddedJournal::Open(options_);
    ASSERT_TRUE(journal.ok()) << journal.status();
    journal_ = *std::move(journal);
  }
  void Restart() {
    journal_.reset();
    Open();
  }
  void Settle() { ASSERT_TRUE(world_.RunUntilIdle(1000000)); }

  Epoch Claim(PartitionId partition) {
    Epoch epoch;
    journal_->Claim(partition, kOrigin, [&](absl::StatusOr<Epoch> claimed) {
      ASSERT_TRUE(claimed.ok()) << claimed.status();
      epoch = *claimed;
    });
    Settle();
    return epoch;
  }
  Record Data(PartitionId partition, Epoch epoch, uint64_t number, std::string payload) {
    Record record;
    record.changes_keys = true;
    record.partitions.push_back({partition, epoch});
    record.origin = kOrigin;
    record.origin_number = number;
    record.payload = std::move(payload);
    return record;
  }
  // Of the block with this in its payload, by a start after this one.
  void ExpectThatDamageIsNoticed(const std::string& payload) {
    journal_.reset();
    const std::string path = "/data/journal/" + SegmentName(Position(1));
    const std::string bytes =
        *(*disk_.Open(path, OpenMode::kReadOnly))->ReadAt(0, options_.segment_bytes);
    ASSERT_TRUE(disk_.FlipBit(path, bytes.find(payload), 0).ok());
    EXPECT_TRUE(absl::IsDataLoss(EmbeddedJournal::Open(options_).status()));
  }
  absl::StatusOr<Placed> AppendNow(Record record) {
    absl::StatusOr<Placed> result = absl::UnknownError("no answer");
    journal_->Append(std::move(record), [&](absl::StatusOr<Placed> placed) { result = placed; });
    Settle();
    return result;
  }

  sim::World world_;
  sim::ScopedCrashHandlers crashes_;
  sim::SimDisk disk_;
  EmbeddedJournalOptions options_;
  std::unique_ptr<Executor> executor_;
  std::unique_ptr<BlockingRunner> runner_;
  std::unique_ptr<EmbeddedJournal> journal_;
};

// What one subscriber saw, checked while it arrives.
struct Seen {
  std::vector<std::pair<Position, std::string>> entries;
  Tail tail;
  std::vector<std::shared_ptr<const Batch>> kept;
  bool keep = false;

  void Take(std::shared_ptr<const Batch> batch) {
    EXPECT_GE(batch->tail.position, tail.position);
    for (const Entry& entry : batch->entries) {
      EXPECT_GT(entry.position, tail.position);
      EXPECT_LE(entry.position, batch->tail.position);
      EXPECT_TRUE(entries.empty() || entry.position > entries.back().first);
      entries.emplace_back(entry.position, std::string(entry.payload));
    }
    tail = batch->tail;
    if (keep) kept.push_back(std::move(batch));
  }
};

TEST_P(EmbeddedJournalTest, WaitingAppendsBecomeOneBlockAndOneSync) {
  Epoch epoch = Claim(kPods);
  uint64_t syncs_before = journal_->stats().log.syncs;
  std::vector<uint64_t> positions;
  for (uint64_t i = 1; i <= 100; ++i) {
    journal_->Append(Data(kPods, epoch, i, absl::StrCat("p", i)),
                     [&](absl::StatusOr<Placed> placed) {
                       ASSERT_TRUE(placed.ok()) << placed.status();
                       positions.push_back(placed->position.value());
                     });
  }
  Settle();
  ASSERT_EQ(positions.size(), 100u);
  for (uint64_t i = 0; i < 100; ++i) EXPECT_EQ(positions[i], i + 2);
  EXPECT_EQ(journal_->stats().log.syncs - syncs_before, 1u);
  EXPECT_EQ(journal_->KnownTail().position, Position(101));
  EXPECT_EQ(journal_->KnownTail().revision, Revision(101));
}

// Only the mark behind the newest block tells its damage from a write that was never finished.
TEST_P(EmbeddedJournalTest, OnceAppendsPauseDamageOfTheNewestIsNoticed) {
  const Epoch epoch = Claim(kPods);
  ASSERT_TRUE(AppendNow(Data(kPods, epoch, 1, std::string(1000, 'x'))).ok());  // and the pause
  ExpectThatDamageIsNoticed("xxxx");
}

TEST_P(EmbeddedJournalTest, AStopDoesNotWaitForThePause) {
  const Epoch epoch = Claim(kPods);
  bool is_durable = false;
  journal_->Append(Data(kPods, epoch, 1, std::string(1000, 'x')),
                   [&](absl::StatusOr<Placed> placed) { is_durable = placed.ok(); });
  while (!is_durable) world_.RunFor(absl::Milliseconds(1));
  journal_->Stop();
  world_.RunFor(absl::Milliseconds(20));
  ExpectThatDamageIsNoticed("xxxx");
}

TEST_P(EmbeddedJournalTest, RefusalsSayWhy) {
  Epoch old_epoch = Claim(kPods);
  Epoch epoch = Claim(kPods);
  EXPECT_TRUE(absl::IsFailedPrecondition(AppendNow(Data(kPods, old_epoch, 1, "x")).status()));
  EXPECT_TRUE(absl::IsAborted(AppendNow(Data(kPods, epoch, 2, "x")).status()));
  absl::StatusOr<Placed> first = AppendNow(Data(kPods, epoch, 1, "x"));
  ASSERT_TRUE(first.ok());
  absl::StatusOr<Placed> repeat = AppendNow(Data(kPods, epoch, 1, "x"));
  ASSERT_TRUE(repeat.ok());
  EXPECT_EQ(repeat->position, first->position);
  EXPECT_EQ(journal_->KnownTail().position, first->position);
}

TEST_P(EmbeddedJournalTest, RestartKeepsNumbersEpochsAndAnswers) {
  Epoch epoch = Claim(kPods);
  absl::StatusOr<Placed> first = AppendNow(Data(kPods, epoch, 1, "x"));
  ASSERT_TRUE(first.ok());
  Tail before = journal_->KnownTail();
  Restart();
  EXPECT_EQ(journal_->KnownTail().position, before.position);
  EXPECT_EQ(journal_->KnownTail().revision, before.revision);
  EXPECT_EQ(AppendNow(Data(kPods, epoch, 1, "x"))->position, first->position);
  absl::StatusOr<Placed> second = AppendNow(Data(kPods, epoch, 2, "y"));
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(second->position, first->position.Next());
  EXPECT_GT(journal_->KnownTail().term, before.term);
}

TEST_P(EmbeddedJournalTest, SubscribersGetTheirPartitionsFromTheLogAndLive) {
  Epoch pods = Claim(kPods);
  Epoch nodes = Claim(kNodes);
  for (uint64_t i = 1; i <= 60; ++i) {
    ASSERT_TRUE(AppendNow(Data(i % 2 ? kPods : kNodes, i % 2 ? pods : nodes, i,
                               absl::StrCat("v", i, std::string(1000, 'x'))))
                    .ok());
  }
  Restart();
  Seen seen_pods, seen_both;
  auto a = journal_->Subscribe(Position(1), {kPods}, [&](auto batch) { seen_pods.Take(batch); });
  auto b = journal_->Subscribe(Position(10), {kNodes, kPods},
                               [&](auto batch) { seen_both.Take(batch); });
  ASSERT_TRUE(a.ok() && b.ok());
  for (uint64_t i = 61; i <= 80; ++i) {
    journal_->Append(Data(i % 2 ? kPods : kNodes, i % 2 ? pods : nodes, i, absl::StrCat("v", i)),
                     [](absl::StatusOr<Placed> placed) { EXPECT_TRUE(placed.ok()); });
    if (i % 3 == 0) world_.RunOne();
  }
  Settle();
  EXPECT_EQ(seen_pods.entries.size(), 1u + 40u);  // its claim, and every other entry
  EXPECT_EQ(seen_both.entries.size(), 82u - 9u);
  for (size_t i = 0; i < seen_both.entries.size(); ++i) {
    EXPECT_EQ(seen_both.entries[i].first.value(), 10 + i);
  }
  EXPECT_EQ(seen_pods.tail.position, Position(82));
  EXPECT_EQ(seen_both.tail.revision, journal_->KnownTail().revision);
}

TEST_P(EmbeddedJournalTest, ASlowSubscriberCostsItsBoundAndMissesNothing) {
  journal_.reset();
  options_.limits.unacknowledged_bytes_max = 20000;
  options_.limits.delivery = {.recent_bytes_max = 5000, .batch_bytes_max = 4000};
  Open();
  Epoch epoch = Claim(kPods);
  Seen seen;
  auto slow = journal_->Subscribe(Position(1), {kPods}, [&](auto batch) { seen.Take(batch); });
  ASSERT_TRUE(slow.ok());
  for (uint64_t i = 1; i <= 200; ++i) {
    ASSERT_TRUE(AppendNow(Data(kPods, epoch, i, std::string(1000, 'x'))).ok());
  }
  // 20,000 bytes, and what one batch may be too much.
  EXPECT_LT(seen.entries.size(), 26u);
  for (int round = 0; round < 1000 && seen.entries.size() < 201; ++round) {
    (*slow)->Acknowledge(seen.tail.position);
    Settle();
  }
  EXPECT_EQ(seen.entries.size(), 201u);
  EXPECT_EQ(seen.tail.position, journal_->KnownTail().position);
}

// One wanted entry keeps its whole block in memory.
TEST_P(EmbeddedJournalTest, WhatASparseSubscriberKeepsIsBoundedToo) {
  journal_.reset();
  options_.limits.unacknowledged_bytes_max = 20000;
  options_.limits.delivery = {.recent_bytes_max = 5000, .batch_bytes_max = 4000};
  Open();
  const Epoch pods = Claim(kPods);
  const Epoch nodes = Claim(kNodes);
  for (uint64_t i = 1; i <= 100; ++i) {
    // Both go into one block.
    journal_->Append(Data(kPods, pods, 2 * i - 1, "little"), [](auto) {});
    journal_->Append(Data(kNodes, nodes, 2 * i, std::string(1000, 'x')), [](auto) {});
    Settle();
  }
  std::vector<std::shared_ptr<const Batch>> kept;
  size_t entries = 0;
  auto sparse = journal_->Subscribe(Position(1), {kPods}, [&](auto batch) {
    entries += batch->entries.size();
    kept.push_back(std::move(batch));
  });
  ASSERT_TRUE(sparse.ok());
  Settle();
  // 20,000 bytes, and what one batch may be too much.
  EXPECT_LT(entries, 26u);
  for (int round = 0; round < 1000 && entries < 101; ++round) {
    (*sparse)->Acknowledge(kept.back()->tail.position);
    Settle();
  }
  EXPECT_EQ(entries, 101u);
}

TEST_P(EmbeddedJournalTest, AnEndedSubscriptionHearsNothing) {
  Epoch epoch = Claim(kPods);
  int batches = 0;
  auto subscription = journal_->Subscribe(Position(1), {kPods}, [&](auto) { ++batches; });
  Settle();
  EXPECT_GT(batches, 0);
  subscription->reset();
  batches = 0;
  ASSERT_TRUE(AppendNow(Data(kPods, epoch, 1, "x")).ok());
  EXPECT_EQ(batches, 0);
}

TEST_P(EmbeddedJournalTest, TrimmedPositionsAreOutOfRangeAndStateSurvives) {
  Epoch epoch = Claim(kPods);
  absl::StatusOr<Placed> last;
  for (uint64_t i = 1; i <= 100; ++i) {
    last = AppendNow(Data(kPods, epoch, i, std::string(1000, 'x')));
    ASSERT_TRUE(last.ok());
  }
  uint64_t size_before = journal_->stats().log.size_bytes;
  journal_->Trim(Position(90));
  Settle();
  EXPECT_LT(journal_->stats().log.size_bytes, size_before);
  EXPECT_TRUE(absl::IsOutOfRange(journal_->Subscribe(Position(1), {kPods}, [](auto) {}).status()));
  Restart();
  EXPECT_TRUE(absl::IsOutOfRange(journal_->Subscribe(Position(1), {kPods}, [](auto) {}).status()));
  // The claim and the first numbers are gone from the log; what they meant is not.
  EXPECT_EQ(AppendNow(Data(kPods, epoch, 100, "x"))->position, last->position);
  EXPECT_EQ(AppendNow(Data(kPods, epoch, 101, "x"))->position, last->position.Next());
  Seen seen;
  auto rest = journal_->Subscribe(Position(91), {kPods}, [&](auto batch) { seen.Take(batch); });
  Settle();
  EXPECT_EQ(seen.entries.size(), 102u - 90u);
}

TEST_P(EmbeddedJournalTest, FilesKeptForLaterGoWhenOthersNeedTheSpace) {
  Epoch epoch = Claim(kPods);
  for (uint64_t i = 1; i <= 100; ++i) {
    ASSERT_TRUE(AppendNow(Data(kPods, epoch, i, std::string(1000, 'x'))).ok());
  }
  journal_->Trim(Position(90));
  Settle();
  const uint64_t used_bytes = disk_.used_bytes();
  journal_->GiveSpaceBack();
  Settle();
  EXPECT_LE(disk_.used_bytes() + 3 * options_.segment_bytes, used_bytes);
  const std::vector<std::string> names = *disk_.List("/data/journal");
  for (const std::string& name : names) {
    EXPECT_FALSE(name.starts_with("kept-")) << name;
  }
  ASSERT_TRUE(AppendNow(Data(kPods, epoch, 101, std::string(1000, 'x'))).ok());
}

// File systems that copy on write need space to remove a file.
class StubbornDisk : public sim::SimDisk {
 public:
  using SimDisk::SimDisk;
  absl::Status Remove(const std::string& path) override {
    if (refusals > 0 && path.find("segment-") != std::string::npos) {
      --refusals;
      return absl::ResourceExhaustedError("no space to remove");
    }
    return SimDisk::Remove(path);
  }
  absl::Status Rename(const std::string& from, const std::string& to) override {
    const bool refused = !unrenamable.empty() && from.find(unrenamable) != std::string::npos;
    return refused ? absl::ResourceExhaustedError("no space to rename") : SimDisk::Rename(from, to);
  }
  int refusals = 0;
  std::string unrenamable;  // names with this in them
};

TEST_P(EmbeddedJournalTest, ARemovalThatHadNoSpaceIsTriedAgain) {
  StubbornDisk disk(world_.random());
  journal_.reset();
  options_.file_system = &disk;
  options_.kept_segments_max = 0;
  Open();
  Epoch epoch = Claim(kPods);
  uint64_t number = 0;
  while (++number <= 40) {
    ASSERT_TRUE(AppendNow(Data(kPods, epoch, number, std::string(1000, 'x'))).ok());
  }
  disk.refusals = 1;
  journal_->Trim(Position(38));
  Settle();
  EXPECT_TRUE(disk.Exists("/data/journal/" + SegmentName(Position(1))));
  // Nothing more can be trimmed, but what was is still there.
  ASSERT_TRUE(AppendNow(Data(kPods, epoch, number, "x")).ok());
  EXPECT_FALSE(disk.Exists("/data/journal/" + SegmentName(Position(1))));
  journal_.reset();
}

// Keeping files is a convenience: where it fails they are removed, and new ones are made.
TEST_P(EmbeddedJournalTest, FilesThatCannotBeRenamedAreRemoved) {
  for (const std::string unrenamable : {"/segment-", "/kept-segment-"}) {
    StubbornDisk disk(world_.random());
    journal_.reset();
    options_.file_system = &disk;
    Open();
    Epoch epoch = Claim(kPods);
    uint64_t number = 0;
    const auto append = [&](int count) {
      for (int i = 0; i < count; ++i) {
        ASSERT_TRUE(AppendNow(Data(kPods, epoch, ++number, std::string(1000, 'x'))).ok());
      }
    };
    append(60);
    disk.unrenamable = unrenamable;
    journal_->Trim(Position(50));
    Settle();
    append(60);
    journal_->Trim(Position(110));
    Settle();
    append(60);
    const std::vector<std::string> names = *disk.List("/data/journal");
    EXPECT_LE(std::count_if(names.begin(), names.end(),
                            [](const std::string& name) {
                              return name.find("segment-") != std::string::npos;
                            }),
              180 / 14 + 3);
    EXPECT_FALSE(disk.Exists("/data/journal/" + SegmentName(Position(1))));
    journal_.reset();
  }
}

TEST_P(EmbeddedJournalTest, D4AFullDiskRefusesThenRecovers) {
  Epoch epoch = Claim(kPods);
  disk_.SetCapacityBytes(disk_.used_bytes() + 4096);
  uint64_t number = 1;
  absl::StatusOr<Placed> placed;
  while ((placed = AppendNow(Data(kPods, epoch, number, std::string(1000, 'x')))).ok()) ++number;
  EXPECT_TRUE(absl::IsResourceExhausted(placed.status())) << placed.status();
  Tail tail = journal_->KnownTail();
  disk_.ClearFaults();
  placed = AppendNow(Data(kPods, epoch, number, "again"));
  ASSERT_TRUE(placed.ok()) << placed.status();
  EXPECT_EQ(placed->position, tail.position.Next());
}

TEST_P(EmbeddedJournalTest, WhatIsTooLargeOrTooMuchIsRefused) {
  journal_.reset();
  options_.limits.payload_bytes_max = 1000;
  options_.limits.mailbox_records_max = 10;
  Open();
  Epoch epoch = Claim(kPods);
  EXPECT_TRUE(
      absl::IsInvalidArgument(AppendNow(Data(kPods, epoch, 1, std::string(1001, 'x'))).status()));
  std::map<absl::StatusCode, int> codes;
  for (uint64_t i = 1; i <= 15; ++i) {
    journal_->Append(Data(kPods, epoch, i, "x"),
                     [&](absl::StatusOr<Placed> placed) { ++codes[placed.status().code()]; });
  }
  Settle();
  EXPECT_EQ(codes[absl::StatusCode::kOk], 10);
  EXPECT_EQ(codes[absl::StatusCode::kDeadlineExceeded], 5);
  EXPECT_TRUE(AppendNow(Data(kPods, epoch, 11, "x")).ok());  // the number is free
}

TEST_P(EmbeddedJournalTest, StopAnswersWhatWaits) {
  Epoch epoch = Claim(kPods);
  int unavailable = 0;
  for (uint64_t i = 1; i <= 5; ++i) {
    journal_->Append(Data(kPods, epoch, i, "x"), [&](absl::StatusOr<Placed> placed) {
      unavailable += absl::IsUnavailable(placed.status());
    });
  }
  journal_->Stop();
  Settle();
  EXPECT_EQ(unavailable, 5);
  EXPECT_TRUE(absl::IsUnavailable(AppendNow(Data(kPods, epoch, 1, "x")).status()));
}

// Opening, appending over several segments, trimming and opening again: all of it syncs, and all of
// it works without when told so, whatever the disk would have said to a sync.
TEST_P(EmbeddedJournalTest, SyncsAreSkippedOnlyWhenAskedFor) {
  for (bool unsafe : {false, true}) {
    journal_.reset();
    Settle();
    options_.directory = unsafe ? "/data/unsafe" : "/data/safe";
    options_.unsafe_no_sync = unsafe;
    int syncs_observed = 0;
    options_.observe_sync = [&](absl::Duration) { ++syncs_observed; };
    ASSERT_TRUE(disk_.CreateDirectories(options_.directory).ok());
    int64_t syncs_before = disk_.syncs();
    if (unsafe) disk_.FailSyncsAfter(0);
    Open();
    Epoch epoch = Claim(kPods);
    for (uint64_t i = 1; i <= 40; ++i) {
      ASSERT_TRUE(AppendNow(Data(kPods, epoch, i, std::string(1000, 'x'))).ok());
    }
    journal_->Trim(Position(35));
    Settle();
    Restart();
    EXPECT_EQ(journal_->KnownTail().position, Position(41));
    // One for each block at least; the state, segments and directories are synced as well.
    EXPECT_EQ(syncs_observed, unsafe ? 0 : 41);
    if (unsafe) {
      EXPECT_EQ(disk_.syncs(), syncs_before);
      EXPECT_EQ(journal_->stats().log.syncs, 0u);
    } else {
      EXPECT_GT(disk_.syncs(), syncs_before + 41);
    }
    disk_.ClearFaults();
  }
}

TEST_P(EmbeddedJournalTest, ConfirmTailIsAnsweredInline) {
  Claim(kPods);
  Tail confirmed;
  journal_->ConfirmTail([&](absl::StatusOr<Tail> tail) { confirmed = *tail; });
  EXPECT_EQ(confirmed.position, Position(1));
}

INSTANTIATE_TEST_SUITE_P(ThroughTheCacheAndPastIt, EmbeddedJournalTest, ::testing::Bool());

}  // namespace
}  // namespace tidemark::journal
