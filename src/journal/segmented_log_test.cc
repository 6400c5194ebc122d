#include "src/journal/segmented_log.h"

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "src/journal/memory_log.h"
#include "tests/sim/env/crash.h"
#include "tests/sim/env/seeded_random.h"
#include "tests/sim/env/sim_disk.h"
#include "tests/sim/env/world.h"

namespace tidemark::journal {
namespace {

constexpr char kDirectory[] = "/journal";

std::string BodyOf(uint64_t position, size_t size) {
  std::string body = absl::StrCat("block ", position, ":");
  body.resize(std::max(size, body.size()), static_cast<char>('a' + position % 26));
  return body;
}

absl::Status AppendOne(LogStorage& log, size_t body_size = 100) {
  std::string body = BodyOf(log.last().value() + 1, body_size);
  // In two runs, as the journal does.
  absl::string_view view = body;
  return log.Append({log.last().Next(), 1, Term(1), {view.substr(0, 5), view.substr(5)}});
}

void ExpectAll(LogStorage& log, Position first, Position last, size_t body_size = 100) {
  Position next = first;
  while (next <= last) {
    auto blocks = log.Read(next, 1000);
    ASSERT_TRUE(blocks.ok()) << blocks.status();
    ASSERT_FALSE(blocks->empty());
    for (const StoredBlock& block : *blocks) {
      ASSERT_EQ(block.first, next);
      ASSERT_EQ(block.body.view(), BodyOf(next.value(), body_size));
      next = block.last().Next();
    }
  }
}

class SegmentedLogTest : public ::testing::Test {
 protected:
  SegmentedLogTest() : world_(1), random_(2), disk_(random_), crashes_(random_) {
    EXPECT_TRUE(disk_.CreateDirectories(kDirectory).ok());
  }

  absl::StatusOr<std::unique_ptr<SegmentedLog>> Open(bool may_be_fresh = true) {
    return OpenOn(disk_, may_be_fresh);
  }
  absl::StatusOr<std::unique_ptr<SegmentedLog>> OpenOn(FileSystem& files,
                                                       bool may_be_fresh = true) {
    visited_.clear();
    SegmentedLog::Options options;
    options.recovery = {&files, &world_.clock(), kDirectory, StoreId(5), synced_};
    options.segment_bytes = 4096;
    options.recovery.may_be_fresh = may_be_fresh;
    return SegmentedLog::Open(options, [this](const StoredBlock& block) {
      visited_.push_back(block.first);
      return absl::OkStatus();
    });
  }
  std::unique_ptr<SegmentedLog> MustOpen() {
    auto log = Open();
    EXPECT_TRUE(log.ok()) << log.status();
    return *std::move(log);
  }

  sim::World world_;
  sim::SeededRandom random_;
  sim::SimDisk disk_;
  sim::ScopedCrashHandlers crashes_;
  std::vector<Position> visited_;
  Position synced_;
};

TEST_F(SegmentedLogTest, KeepsBlocksOverManySegmentsAndRestarts) {
  for (int start = 0; start < 4; ++start) {
    std::unique_ptr<SegmentedLog> log = MustOpen();
    ASSERT_EQ(visited_.size(), static_cast<size_t>(start) * 25);
    for (int i = 0; i < 25; ++i) {
      ASSERT_TRUE(AppendOne(*log).ok());
      log->Sync();
    }
    ExpectAll(*log, Position(1), log->last());
    for (uint64_t from = 1; from <= log->last().value(); ++from) {
      auto blocks = log->Read(Position(from), 1);
      ASSERT_TRUE(blocks.ok());
      ASSERT_EQ(blocks->size(), 1u);
      EXPECT_EQ(blocks->front().first, Position(from));
    }
    EXPECT_TRUE(absl::IsOutOfRange(log->Read(log->last().Next().Next(), 1).status()));
    EXPECT_TRUE(log->Read(log->last().Next(), 1)->empty());
    log.reset();
    disk_.Crash();
  }
}

TEST_F(SegmentedLogTest, ABlockLargerThanASegmentGetsOneOfItsOwn) {
  std::unique_ptr<SegmentedLog> log = MustOpen();
  ASSERT_TRUE(AppendOne(*log, 10).ok());
  log->Sync();
  for (int i = 0; i < 3; ++i) {
    std::string body(100000, static_cast<char>('x' + i));
    ASSERT_TRUE(log->Append({log->last().Next(), 7, Term(1), {body}}).ok());
    log->Sync();
  }
  log.reset();
  disk_.Crash();
  log = MustOpen();
  EXPECT_EQ(log->last(), Position(22));
  auto blocks = log->Read(Position(10), 1);
  ASSERT_TRUE(blocks.ok());
  EXPECT_EQ(blocks->front().first, Position(9));
  EXPECT_EQ(blocks->front().body.view(), std::string(100000, 'y'));
}

TEST_F(SegmentedLogTest, D4NoSpaceRefusesAndLosesNothing) {
  std::unique_ptr<SegmentedLog> log = MustOpen();
  Position acked;
  disk_.SetCapacityBytes(disk_.used_bytes() + 8192);
  while (AppendOne(*log).ok()) {
    log->Sync();
    acked = log->last();
    ASSERT_LT(acked.value(), 1000u);
  }
  EXPECT_TRUE(absl::IsResourceExhausted(AppendOne(*log)));
  EXPECT_EQ(log->last(), acked);
  ExpectAll(*log, Position(1), acked);
  log.reset();
  disk_.Crash();
  disk_.ClearFaults();
  log = MustOpen();
  EXPECT_EQ(log->last(), acked);
  ASSERT_TRUE(AppendOne(*log).ok());
  log->Sync();
  ExpectAll(*log, Position(1), acked.Next());
}

TEST_F(SegmentedLogTest, SpaceThatComesBackIsUsed) {
  std::unique_ptr<SegmentedLog> log = MustOpen();
  disk_.SetCapacityBytes(disk_.used_bytes());
  while (AppendOne(*log).ok()) log->Sync();
  Position last = log->last();
  disk_.ClearFaults();
  ASSERT_TRUE(AppendOne(*log).ok());
  log->Sync();
  EXPECT_EQ(log->last(), last.Next());
}

// A file system whose files run out of space in the middle of a write, reserved or not.
class StingyFileSystem : public FileSystem {
 public:
  explicit StingyFileSystem(FileSystem& base) : base_(base) {}

  // Writes that still succeed; the one after them takes half its bytes, or all, then fails.
  int64_t writes_left = 1 << 30;
  int64_t failures_left = 0;
  bool takes_all = false;
  bool removals_fail = false;

  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override {
    auto file = base_.Open(path, mode);
    if (!file.ok()) return file.status();
    return std::make_unique<StingyFile>(*this, *std::move(file));
  }
  bool Exists(const std::string& path) override { return base_.Exists(path); }
  absl::StatusOr<std::vector<std::string>> List(const std::string& directory) override {
    return base_.List(directory);
  }
  absl::Status CreateDirectories(const std::string& d) override {
    return base_.CreateDirectories(d);
  }
  absl::Status Rename(const std::string& from, const std::string& to) override {
    return base_.Rename(from, to);
  }
  absl::Status Remove(const std::string& path) override {
    return removals_fail ? absl::ResourceExhaustedError("no space") : base_.Remove(path);
  }
  absl::Status SyncDirectory(const std::string& d) override { return base_.SyncDirectory(d); }
  absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path) override {
    return base_.Lock(path);
  }

 private:
  class StingyFile : public File {
   public:
    StingyFile(StingyFileSystem& owner, std::unique_ptr<File> file)
        : owner_(owner), file_(std::move(file)) {}
    absl::StatusOr<std::string> ReadAt(uint64_t offset, size_t size) override {
      return file_->ReadAt(offset, size);
    }
    absl::Status WriteAt(uint64_t offset, absl::Span<const absl::string_view> runs) override {
      if (owner_.writes_left-- > 0 || owner_.failures_left-- <= 0) {
        return file_->WriteAt(offset, runs);
      }
      std::string bytes;
      for (absl::string_view run : runs) bytes.append(run.data(), run.size());
      if (!owner_.takes_all) bytes.resize(bytes.size() / 2);
      EXPECT_TRUE(file_->WriteAt(offset, {absl::string_view(bytes)}).ok());
      return absl::ResourceExhaustedError("no space");
    }
    absl::Status Preallocate(uint64_t size) override { return file_->Preallocate(size); }
    absl::Status Truncate(uint64_t size) override { return file_->Truncate(size); }
    absl::Status SyncData() override { return file_->SyncData(); }
    absl::StatusOr<uint64_t> Size() override { return file_->Size(); }

   private:
    StingyFileSystem& owner_;
    std::unique_ptr<File> file_;
  };

  FileSystem& base_;
};

TEST_F(SegmentedLogTest, D4ARefusedBlockNeverComesBack) {
  for (bool takes_all : {false, true}) {
    for (int failures : {1, 2, 3}) {
      sim::SimDisk disk(random_);
      ASSERT_TRUE(disk.CreateDirectories(kDirectory).ok());
      StingyFileSystem stingy(disk);
      auto log = OpenOn(stingy);
      ASSERT_TRUE(log.ok());
      ASSERT_TRUE(AppendOne(**log).ok());
      (*log)->Sync();
      stingy.takes_all = takes_all;
      stingy.writes_left = 0;
      stingy.failures_left = failures;
      absl::Status refused = AppendOne(**log, 300);
      // Two failures: also the undoing failed, and nobody may be told that nothing happened.
      EXPECT_EQ(refused.code(),
                failures == 1 ? absl::StatusCode::kResourceExhausted : absl::StatusCode::kUnknown);
      if (failures == 3) {
        EXPECT_TRUE(absl::IsResourceExhausted(AppendOne(**log)));
      }
      if (failures > 1) {
        ASSERT_TRUE(AppendOne(**log).ok());
        (*log)->Sync();
      }
      Position last = (*log)->last();
      EXPECT_EQ(last, Position(failures == 1 ? 1 : 2));
      log->reset();
      disk.Crash();
      log = OpenOn(stingy);
      ASSERT_TRUE(log.ok()) << log.status();
      EXPECT_EQ((*log)->last(), last);
      ExpectAll(**log, Position(1), last);
    }
  }
}

TEST_F(SegmentedLogTest, D3AFailedSyncEndsTheProcess) {
  std::unique_ptr<SegmentedLog> log = MustOpen();
  ASSERT_TRUE(AppendOne(*log).ok());
  disk_.FailSyncsAfter(0);
  try {
    log->Sync();
    FAIL() << "the sync's error was ignored";
  } catch (const sim::SimulatedCrash& crash) {
    EXPECT_EQ(crash.kind(), sim::CrashKind::kFatal);
  }
}

// The new segment takes an empty one's name: it must take its place in the list as well, or a trim
// of the empty one would remove the file in use.
TEST_F(SegmentedLogTest, ALargeBlockReplacesAnEmptySegment) {
  std::unique_ptr<SegmentedLog> log = MustOpen();
  std::string body = BodyOf(1, 100'000);
  ASSERT_TRUE(log->Append({Position(1), 1, Term(1), {body}}).ok());
  log->Sync();
  EXPECT_FALSE(log->CanTrim(Position(0)));
  for (int i = 0; i < 40; ++i) {
    ASSERT_TRUE(AppendOne(*log).ok());
    log->Sync();
  }
  ASSERT_TRUE(log->CanTrim(Position(1)));
  ASSERT_TRUE(log->Trim(Position(1))().ok());
  EXPECT_EQ(log->first(), Position(2));
  ExpectAll(*log, Position(2), Position(41));
  log.reset();
  synced_ = Position(1);
  disk_.Crash();
  log = MustOpen();
  EXPECT_EQ(log->last(), Position(41));
  ExpectAll(*log, Position(2), Position(41));
}

TEST_F(SegmentedLogTest, AnEmptySegmentIsReplacedAfterARestartToo) {
  std::unique_ptr<SegmentedLog> log = MustOpen();
  log.reset();
  disk_.Crash();
  log = MustOpen();
  for (uint64_t position = 1; position <= 3; ++position) {
    std::string body = BodyOf(position, 10'000);
    ASSERT_TRUE(log->Append({Position(position), 1, Term(1), {body}}).ok());
    log->Sync();
  }
  ASSERT_TRUE(log->Trim(Position(2))().ok());
  log.reset();
  synced_ = Position(2);
  disk_.Crash();
  log = MustOpen();
  EXPECT_EQ(log->first(), Position(3));
  ExpectAll(*log, Position(3), Position(3), 10'000);
}

// Copy-on-write file systems need space to remove a file.
TEST_F(SegmentedLogTest, WhatCouldNotBeRemovedGoesBeforeWhatComesLater) {
  StingyFileSystem stingy(disk_);
  auto log = OpenOn(stingy);
  ASSERT_TRUE(log.ok());
  for (int i = 0; i < 60; ++i) {
    ASSERT_TRUE(AppendOne(**log).ok());
    (*log)->Sync();
  }
  stingy.removals_fail = true;
  EXPECT_TRUE(absl::IsResourceExhausted((*log)->Trim(Position(20))()));
  stingy.removals_fail = false;
  ASSERT_TRUE((*log)->Trim(Position(40))().ok());
  const Position first = (*log)->first();
  log->reset();
  disk_.Crash();
  synced_ = Position(40);
  log = OpenOn(stingy);
  ASSERT_TRUE(log.ok()) << log.status();
  EXPECT_EQ((*log)->first(), first);
  ExpectAll(**log, first, Position(60));
}

TEST_F(SegmentedLogTest, TrimRemovesWholeSegmentsOnly) {
  std::unique_ptr<SegmentedLog> log = MustOpen();
  for (int i = 0; i < 40; ++i) {
    ASSERT_TRUE(AppendOne(*log).ok());
    log->Sync();
  }
  EXPECT_FALSE(log->CanTrim(Position(2)));
  ASSERT_TRUE(log->Trim(Position(20))().ok());
  EXPECT_GT(log->first(), Position(1));
  EXPECT_LE(log->first(), Position(21));
  EXPECT_TRUE(absl::IsOutOfRange(log->Read(Position(1), 1).status()));
  ExpectAll(*log, log->first(), Position(40));
  Position first = log->first();
  log.reset();
  disk_.Crash();
  // Nothing says that what is gone was not needed.
  EXPECT_TRUE(absl::IsDataLoss(Open().status()));
  synced_ = Position(20);
  log = MustOpen();
  EXPECT_EQ(log->first(), first);
  ASSERT_TRUE(log->Trim(Position(1000))().ok());
  EXPECT_EQ(log->last(), Position(40));
}

TEST_F(SegmentedLogTest, LostSegmentsAreNotAFreshStart) {
  EXPECT_TRUE(absl::IsDataLoss(Open(/*may_be_fresh=*/false).status()));
}

TEST(MemoryLogTest, ForgetsWhatWasNotSynced) {
  MemoryLog log;
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(AppendOne(log).ok());
    log.Sync();
  }
  ASSERT_TRUE(AppendOne(log).ok());
  log.Crash();
  EXPECT_EQ(log.last(), Position(3));
  ExpectAll(log, Position(1), Position(3));
  log.FailAppends(absl::ResourceExhaustedError("full"));
  EXPECT_TRUE(absl::IsResourceExhausted(AppendOne(log)));
  ASSERT_TRUE(log.Trim(Position(2))().ok());
  EXPECT_EQ(log.first(), Position(3));
}

}  // namespace
}  // namespace tidemark::journal
