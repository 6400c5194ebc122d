// Every fault at every place: a full disk at the N-th write, a failed sync at the N-th sync, an end
// of the process at the N-th change, each for all N that a checkpoint passes; then power loss. The
// newest checkpoint is the last acknowledged one or the one being committed, whole.
#include <chrono>
#include <filesystem>
#include <functional>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "src/base/failpoint.h"
#include "src/base/posix_file_system.h"
#include "src/base/temporary_directory.h"
#include "src/kvstore/checkpoint/checkpoint_images_for_test.h"
#include "src/kvstore/checkpoint/fault_file_system_for_test.h"
#include "src/kvstore/checkpoint/rocks_checkpoint_store.h"
#include "tests/sim/env/seeded_random.h"

namespace tidemark::kvstore {
namespace {

constexpr PartitionId kPods{3};
constexpr PartitionId kNodes{1};

class FaultTest : public ::testing::Test {
 protected:
  FaultTest() {
    CHECK(files_.CreateDirectories(directory_.path() + "/keep").ok());
    faults_ = std::make_shared<FaultFileSystem>(directory_.path() + "/keep");
  }

  RocksCheckpointOptions Options() {
    RocksCheckpointOptions options;
    options.directory = directory_.path() + "/checkpoints";
    options.store = 7;
    options.file_system = &files_;
    options.table_bytes = 2048;
    options.rocks_file_system = faults_;
    return options;
  }
  void Open() {
    auto store = OpenRocksCheckpointStore(Options());
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }
  void PowerLoss() {
    store_.reset();
    faults_->LosePower(random_);
  }
  absl::Status Write(const CheckpointImage& base, const CheckpointImage& next, bool is_whole) {
    return is_whole ? WriteWhole(*store_, next) : WriteIncrement(*store_, base, next);
  }
  void ExpectStored(const CheckpointImage& image, absl::string_view when) {
    auto found = ReadAll(*store_, image.header.partition);
    ASSERT_TRUE(found.ok()) << when << ": " << found.status();
    ASSERT_TRUE(*found == image) << when << ": position " << found->header.at.position;
  }

  // A store with two partitions; kPods has a whole one and an increment.
  void SetUpImages() {
    nodes_ = NextImage(random_, EmptyImage(kNodes));
    pods_ = EmptyImage(kPods);
    while (pods_.versions.size() < 10) pods_ = NextImage(random_, pods_);
    ASSERT_TRUE(WriteWhole(*store_, nodes_).ok());
    ASSERT_TRUE(WriteWhole(*store_, pods_).ok());
    Advance(NextImage(random_, pods_), false);
  }
  void Advance(const CheckpointImage& next, bool is_whole) {
    absl::Status status = Write(pods_, next, is_whole);
    ASSERT_TRUE(status.ok()) << status;
    pods_ = next;
  }
  // The sync that failed may be a compaction's, on RocksDB's own thread: its error reaches the
  // store a moment after it struck.
  bool BecomesBroken() {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!store_->is_broken() && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::yield();
    }
    return store_->is_broken();
  }
  void RefuseAtEveryWrite(const std::function<void(int64_t writes)>& arm, absl::StatusCode code,
                          int refusals_min);
  CheckpointImage Next() {
    CheckpointImage next = pods_;
    do {
      next = NextImage(random_, next);
    } while (next.header.at.position == pods_.header.at.position || next.versions.size() < 5);
    return next;
  }

  TemporaryDirectory directory_{std::filesystem::current_path().string()};
  PosixFileSystem files_;
  sim::SeededRandom random_{5};
  std::shared_ptr<FaultFileSystem> faults_;
  std::unique_ptr<CheckpointStore> store_;
  CheckpointImage nodes_;
  CheckpointImage pods_;
};

// Strikes in turn at every write: a checkpoint that is refused changes nothing, and the next one is
// as good as ever.
void FaultTest::RefuseAtEveryWrite(const std::function<void(int64_t writes)>& arm,
                                   absl::StatusCode code, int refusals_min) {
  Open();
  SetUpImages();
  for (bool is_whole : {true, false}) {
    int refusals = 0;
    bool was_struck = true;
    for (int64_t writes = 0; was_struck && !HasFatalFailure(); ++writes) {
      std::string when = absl::StrCat(is_whole ? "whole" : "increment", ", write ", writes);
      CheckpointImage next = Next();
      arm(writes);
      absl::Status status = Write(pods_, next, is_whole);
      was_struck = faults_->was_struck();
      if (!was_struck) faults_->ClearFaults();
      ASSERT_TRUE(was_struck || status.ok()) << when << ": " << status;
      if (status.ok()) {
        ASSERT_FALSE(was_struck && code == absl::StatusCode::kDataLoss) << when;
        pods_ = next;
      } else {
        ++refusals;
        ASSERT_EQ(status.code(), code) << when << ": " << status;
        ASSERT_TRUE(absl::StrContains(status.message(), Options().directory)) << status;
      }
      ASSERT_FALSE(store_->is_broken()) << when;
      ExpectStored(pods_, when);  // while the fault lasts
      faults_->ClearFaults();
      if (writes % 3 == 1) {  // the process ends with that
        PowerLoss();
        Open();
        if (HasFatalFailure()) return;
        ExpectStored(pods_, when + ", restarted");
      }
      Advance(Next(), !is_whole);
      ExpectStored(pods_, when + ", without the fault");
    }
    EXPECT_GT(refusals, refusals_min);
  }
  PowerLoss();
  Open();
  ExpectStored(pods_, "at the end");
  ExpectStored(nodes_, "at the end");
}

TEST_F(FaultTest, FullDiskAtEveryWrite) {
  RefuseAtEveryWrite(
      [this](int64_t writes) { faults_->FillDiskAfter(writes, /*by_quota=*/writes % 2 == 0); },
      absl::StatusCode::kResourceExhausted, 3);
}

// A disk that writes something else than it was given.
TEST_F(FaultTest, TurnedBitAtEveryTableWrite) {
  RefuseAtEveryWrite([this](int64_t writes) { faults_->TurnBitAfter(writes); },
                     absl::StatusCode::kDataLoss, 1);
}

TEST_F(FaultTest, FailedSyncAtEverySync) {
  Open();
  SetUpImages();
  for (bool is_whole : {true, false}) {
    int failures = 0;
    bool was_struck = true;
    for (int64_t syncs = 0; was_struck && !HasFatalFailure(); ++syncs) {
      std::string when = absl::StrCat(is_whole ? "whole" : "increment", ", sync ", syncs);
      CheckpointImage next = Next();
      faults_->FailSyncAfter(syncs);
      absl::Status status = Write(pods_, next, is_whole);
      was_struck = faults_->was_struck();
      const bool is_acknowledged = status.ok();
      if (was_struck) {
        // Never tried again.
        ++failures;
        EXPECT_TRUE(BecomesBroken()) << when;
        EXPECT_TRUE(absl::IsInternal(store_->BeginWhole(kPods).status())) << when;
        EXPECT_TRUE(absl::IsInternal(store_->BeginWhole(kNodes).status())) << when;
      }
      if (!is_acknowledged) {
        ASSERT_TRUE(absl::IsInternal(status)) << when << ": " << status;
        EXPECT_TRUE(absl::StrContains(status.message(), "restart")) << status;
      }
      ExpectStored(is_acknowledged ? next : pods_, when);
      PowerLoss();
      Open();
      if (HasFatalFailure()) return;
      auto found = ReadAll(*store_, kPods);
      ASSERT_TRUE(found.ok()) << when << ": " << found.status();
      ASSERT_TRUE(*found == next || (!is_acknowledged && *found == pods_)) << when;
      pods_ = *found;
      ExpectStored(nodes_, when);
      Advance(Next(), !is_whole);
    }
    EXPECT_GT(failures, 5);
  }
}

// A table still in the kernel's cache says nothing about the disk.
TEST_F(FaultTest, TablesAreReadBackFromTheDisk) {
  Open();
  SetUpImages();
  for (const bool is_whole : {true, false}) {
    const size_t before = faults_->forgotten().size();
    Advance(Next(), is_whole);
    const std::set<std::string> forgotten = faults_->forgotten();
    EXPECT_GE(forgotten.size(), before + 2) << "one of records, one of the header";
    for (const std::string& path : forgotten) {
      EXPECT_TRUE(absl::StrContains(path, "/building/")) << path;
    }
  }
}

// It may do so by megabytes at a time, and the journal's syncs would wait.
TEST_F(FaultTest, TheKernelDoesNotReadAhead) {
  Open();
  SetUpImages();
  for (const bool is_whole : {true, false}) Advance(Next(), is_whole);
  ExpectStored(pods_, "advanced");
  PowerLoss();  // closes all
  EXPECT_GE(faults_->closed().size(), 4u);
  EXPECT_EQ(faults_->read_ahead(), std::set<std::string>());
}

// A stop must not wait for gigabytes to be read back.
TEST_F(FaultTest, InterruptEndsReadingBack) {
  Open();
  SetUpImages();
  store_->Interrupt();
  EXPECT_TRUE(absl::IsCancelled(Write(pods_, Next(), true)));
  EXPECT_FALSE(store_->is_broken());
  ExpectStored(pods_, "interrupted");
  PowerLoss();
  Open();
  ExpectStored(pods_, "restarted");
  Advance(Next(), true);
}

// Also while opening. A step is sometimes skipped: RocksDB waits a second after each failed
// compaction.
TEST_F(FaultTest, ProcessEndsAtEveryChange) {
  Open();
  SetUpImages();
  for (bool is_whole : {true, false}) {
    bool was_struck = true;
    int opens_cut = 0;
    for (int64_t changes = 0; was_struck && !HasFatalFailure();
         changes += 1 + static_cast<int64_t>(Below(random_, 4))) {
      std::string when = absl::StrCat(is_whole ? "whole" : "increment", ", change ", changes);
      PowerLoss();
      faults_->StopAfter(changes);
      CheckpointImage next = Next();
      bool is_acknowledged = false;
      auto store = OpenRocksCheckpointStore(Options());
      if (store.ok()) {
        store_ = *std::move(store);
        is_acknowledged = Write(pods_, next, is_whole).ok();
      } else {
        ++opens_cut;
      }
      was_struck = faults_->was_struck();
      PowerLoss();
      Open();
      if (HasFatalFailure()) return;
      auto found = ReadAll(*store_, kPods);
      ASSERT_TRUE(found.ok()) << when << ": " << found.status();
      ASSERT_TRUE(*found == next || (!is_acknowledged && *found == pods_)) << when;
      pods_ = *found;
      ExpectStored(nodes_, when);
      Advance(Next(), !is_whole);
    }
    EXPECT_GT(opens_cut, 5);
  }
}

// The very first opening, cut at every change.
TEST_F(FaultTest, FirstOpeningEndsAtEveryChange) {
  bool was_struck = true;
  for (int64_t changes = 0; was_struck && !HasFatalFailure(); ++changes) {
    std::filesystem::remove_all(Options().directory);
    faults_ = std::make_shared<FaultFileSystem>(directory_.path() + "/keep");
    std::filesystem::remove_all(directory_.path() + "/keep");
    ASSERT_TRUE(files_.CreateDirectories(directory_.path() + "/keep").ok());
    faults_->StopAfter(changes);
    auto store = OpenRocksCheckpointStore(Options());
    if (store.ok()) store_ = *std::move(store);
    was_struck = faults_->was_struck();
    PowerLoss();
    Open();
    ASSERT_FALSE(HasFatalFailure()) << changes;
    EXPECT_TRUE(store_->Partitions().empty());
    pods_ = EmptyImage(kPods);
    Advance(Next(), true);
    PowerLoss();
    Open();
    ExpectStored(pods_, absl::StrCat("change ", changes));
  }
}

}  // namespace
}  // namespace tidemark::kvstore
