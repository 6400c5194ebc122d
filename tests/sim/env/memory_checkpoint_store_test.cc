// The faults of the store in memory; its contract is tested beside the one on RocksDB
// (src/kvstore/checkpoint/checkpoint_store_test.cc).
#include "tests/sim/env/memory_checkpoint_store.h"

#include "gtest/gtest.h"
#include "src/kvstore/checkpoint/checkpoint_images_for_test.h"
#include "tests/sim/env/crash.h"
#include "tests/sim/env/seeded_random.h"

namespace tidemark::sim {
namespace {

using kvstore::CheckpointImage;

constexpr PartitionId kPods{3};

class MemoryCheckpointStoreTest : public ::testing::Test {
 protected:
  MemoryCheckpointStoreTest() {
    first_ = kvstore::EmptyImage(kPods);
    while (first_.versions.size() < 10) first_ = kvstore::NextImage(random_, first_);
    second_ = first_;
    while (second_.versions.size() < 10 ||
           second_.header.at.position == first_.header.at.position) {
      second_ = kvstore::NextImage(random_, second_);
    }
    EXPECT_TRUE(WriteWhole(store_, first_).ok());
  }

  void ExpectStored(const CheckpointImage& image) {
    auto found = kvstore::ReadAll(store_, kPods);
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_TRUE(*found == image);
  }

  SeededRandom random_{3};
  MemoryCheckpointStore store_{7};
  CheckpointImage first_;
  CheckpointImage second_;
};

TEST_F(MemoryCheckpointStoreTest, NoSpaceAtEveryAdd) {
  int refusals = 0;
  for (int64_t calls = 0;; ++calls) {
    store_.FailAddsAfter(calls);
    absl::Status status = WriteWhole(store_, second_);
    if (status.ok()) break;
    ++refusals;
    EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
    ExpectStored(first_);
  }
  EXPECT_EQ(refusals, static_cast<int>(second_.versions.size()));
  ExpectStored(second_);
}

TEST_F(MemoryCheckpointStoreTest, NoSpaceAtCommit) {
  store_.FailCommits(MemoryCheckpointStore::CommitFault::kNoSpace);
  EXPECT_TRUE(absl::IsResourceExhausted(WriteWhole(store_, second_)));
  ExpectStored(first_);
  store_.ClearFaults();
  EXPECT_TRUE(WriteIncrement(store_, first_, second_).ok());
  ExpectStored(second_);
}

TEST_F(MemoryCheckpointStoreTest, AfterAnIoErrorOnlyARestartHelps) {
  for (bool is_durable : {false, true}) {
    store_.FailCommits(is_durable ? MemoryCheckpointStore::CommitFault::kIoErrorDurable
                                  : MemoryCheckpointStore::CommitFault::kIoError);
    EXPECT_TRUE(absl::IsInternal(WriteWhole(store_, second_)));
    store_.ClearFaults();
    EXPECT_TRUE(store_.is_broken());
    EXPECT_TRUE(absl::IsInternal(store_.BeginWhole(kPods).status()));
    ExpectStored(first_);
    store_.ProcessDied();
    EXPECT_FALSE(store_.is_broken());
    ExpectStored(is_durable ? second_ : first_);
  }
}

TEST_F(MemoryCheckpointStoreTest, CrashesInCommit) {
  ScopedCrashHandlers crashes(random_);
  for (const char* point : {"checkpoint.built", "checkpoint.before_ingest"}) {
    crashes.CrashAt(point, 1);
    EXPECT_THROW(WriteWhole(store_, second_).IgnoreError(), SimulatedCrash) << point;
    store_.ProcessDied();
    ExpectStored(first_);
  }
  crashes.CrashAt("checkpoint.after_ingest", 1);
  EXPECT_THROW(WriteIncrement(store_, first_, second_).IgnoreError(), SimulatedCrash);
  store_.ProcessDied();
  ExpectStored(second_);
}

TEST_F(MemoryCheckpointStoreTest, WritersOfADeadProcessDoNothing) {
  auto writer = *store_.BeginWhole(kPods);
  store_.ProcessDied();
  auto next = *store_.BeginWhole(kPods);
  EXPECT_FALSE(writer->Commit(second_.header).ok());
  writer.reset();  // the new process's writer is still the one
  EXPECT_TRUE(absl::IsFailedPrecondition(store_.BeginWhole(kPods).status()));
  ExpectStored(first_);
}

TEST_F(MemoryCheckpointStoreTest, DamageIsFound) {
  for (size_t record = 0; record < first_.versions.size(); ++record) {
    for (size_t offset : {0, 7, 15, 16, 17, 20}) {
      ASSERT_TRUE(WriteWhole(store_, first_).ok());
      int bit = static_cast<int>(DrawBelow(random_, 8));
      ASSERT_TRUE(store_.FlipRecordBit(kPods, record, offset, bit).ok());
      EXPECT_TRUE(absl::IsDataLoss(kvstore::ReadAll(store_, kPods).status()))
          << record << " " << offset;
    }
    ASSERT_TRUE(WriteWhole(store_, first_).ok());
    ASSERT_TRUE(store_.LoseRecord(kPods, record).ok());
    EXPECT_TRUE(absl::IsDataLoss(kvstore::ReadAll(store_, kPods).status())) << record;
  }
  ASSERT_TRUE(WriteWhole(store_, first_).ok());
  ASSERT_TRUE(store_.FlipHeaderBit(kPods, 30, 2).ok());
  EXPECT_TRUE(absl::IsDataLoss(store_.Newest(kPods).status()));
  EXPECT_TRUE(absl::IsDataLoss(store_.Read(kPods).status()));
  EXPECT_TRUE(absl::IsOutOfRange(store_.FlipHeaderBit(kPods, 1 << 20, 0)));
  EXPECT_TRUE(absl::IsOutOfRange(store_.LoseRecord(kPods, 1 << 20)));
  EXPECT_TRUE(absl::IsNotFound(store_.LoseRecord(PartitionId(9), 0)));
}

}  // namespace
}  // namespace tidemark::sim
