#include "src/journal/segmented_log.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "src/journal/memory_log_for_test.h"
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

void Append(LogStorage& log, int count) {
  for (int i = 0; i < count; ++i) {
    ASSERT_TRUE(AppendOne(log).ok());
    log.Sync();
  }
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

// Whether files can be written past the page cache.
class SegmentedLogTest : public ::testing::TestWithParam<bool> {
 protected:
  SegmentedLogTest() : world_(1), random_(2), disk_(random_), crashes_(random_) {
    EXPECT_TRUE(disk_.CreateDirectories(kDirectory).ok());
    disk_.SetDirectWrites(GetParam() ? sim::SimDisk::kAllDirectWrites : 0);
  }

  absl::StatusOr<std::unique_ptr<SegmentedLog>> Open(bool may_be_fresh = true) {
    return OpenOn(disk_, may_be_fresh);
  }
  absl::StatusOr<std::unique_ptr<SegmentedLog>> OpenOn(FileSystem& files,
                                                       bool may_be_fresh = true) {
    visited_.clear();
    SegmentedLog::Options options;
    options.recovery = {&files, &world_.clock(), kDirectory, StoreId(5), synced_};
    options.segment_bytes = segment_bytes_;
    options.kept_segments_max = kept_segments_max_;
    options.recovery.may_be_fresh = may_be_fresh;
    return SegmentedLog::Open(options, [this](const StoredBlock& block) {
      visited_.push_back(block.first);
      return absl::OkStatus();
    });
  }
  // In the first segment, by a start after kill -9.
  void ExpectThatDamageIsNoticed(uint64_t offset) {
    disk_.ProcessDied();
    ASSERT_TRUE(disk_.FlipBit("/journal/" + SegmentName(Position(1)), offset, 3).ok());
    EXPECT_TRUE(absl::IsDataLoss(Open().status()));
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
  uint64_t segment_bytes_ = 4096;
  size_t kept_segments_max_ = 2;
};

TEST_P(SegmentedLogTest, KeepsBlocksOverManySegmentsAndRestarts) {
  for (int start = 0; start < 4; ++start) {
    std::unique_ptr<SegmentedLog> log = MustOpen();
    ASSERT_EQ(visited_.size(), static_cast<size_t>(start) * 25);
    Append(*log, 25);
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

TEST_P(SegmentedLogTest, ABlockLargerThanASegmentGetsOneOfItsOwn) {
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

TEST_P(SegmentedLogTest, D4NoSpaceRefusesAndLosesNothing) {
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

TEST_P(SegmentedLogTest, SpaceThatComesBackIsUsed) {
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
  StingyFileSystem(FileSystem& base, bool writes_directly)
      : can_write_directly(writes_directly), base_(base) {}

  // Writes that still succeed; the one after them takes half its bytes, or all, then fails.
  int64_t writes_left = 1 << 30;
  int64_t failures_left = 0;
  bool takes_all = false;
  bool removals_fail = false;
  bool can_write_directly;
  uint64_t zeros_bytes = 0;  // written in runs of nothing else
  size_t asked_ahead = 0;    // files

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
    void ReadAhead(uint64_t /*offset*/, uint64_t /*size_bytes*/) override { ++owner_.asked_ahead; }
    absl::Status WriteAt(uint64_t offset, absl::Span<const absl::string_view> runs) override {
      if (!owner_.Refuses(runs)) return file_->WriteAt(offset, runs);
      return WriteSome(offset, runs);
    }
    absl::Status WriteDirectly(uint64_t offset, absl::Span<const absl::string_view> runs,
                               Durability durability) override {
      if (!owner_.can_write_directly) return File::WriteDirectly(offset, runs, durability);
      if (!owner_.Refuses(runs)) return file_->WriteDirectly(offset, runs, durability);
      return WriteSome(offset, runs);
    }
    absl::Status Preallocate(uint64_t size) override { return file_->Preallocate(size); }
    absl::Status Truncate(uint64_t size) override { return file_->Truncate(size); }
    absl::Status SyncData() override { return file_->SyncData(); }
    absl::StatusOr<uint64_t> Size() override { return file_->Size(); }

   private:
    absl::Status WriteSome(uint64_t offset, absl::Span<const absl::string_view> runs) {
      std::string bytes;
      for (absl::string_view run : runs) bytes.append(run.data(), run.size());
      if (!owner_.takes_all) bytes.resize(bytes.size() / 2);
      EXPECT_TRUE(file_->WriteAt(offset, {absl::string_view(bytes)}).ok());
      return absl::ResourceExhaustedError("no space");
    }

    StingyFileSystem& owner_;
    std::unique_ptr<File> file_;
  };

  bool Refuses(absl::Span<const absl::string_view> runs) {
    for (absl::string_view run : runs) {
      const bool is_zeros = run.find_first_not_of('\0') == absl::string_view::npos;
      if (is_zeros) zeros_bytes += run.size();
    }
    return writes_left-- <= 0 && failures_left-- > 0;
  }

  FileSystem& base_;
};

// Files that a start has to write itself find the space that the spare had.
TEST_P(SegmentedLogTest, D4AStartReservesNothing) {
  std::unique_ptr<SegmentedLog> log = MustOpen();
  ASSERT_TRUE(AppendOne(*log).ok());
  log->Sync();
  log.reset();
  disk_.ProcessDied();
  const uint64_t full = disk_.used_bytes();
  disk_.SetCapacityBytes(full);
  log = MustOpen();
  EXPECT_EQ(disk_.used_bytes(), full - segment_bytes_);
  ASSERT_TRUE(AppendOne(*log).ok());
  EXPECT_EQ(disk_.used_bytes(), full);
}

// The disk is never idle while blocks are verified, and not asked for more than two files ahead.
TEST_P(SegmentedLogTest, AStartReadsAhead) {
  std::unique_ptr<SegmentedLog> log = MustOpen();
  Append(*log, 40);
  log.reset();
  StingyFileSystem files(disk_, GetParam());
  RecoveryOptions options{&files, &world_.clock(), kDirectory, StoreId(5), Position(0)};
  std::vector<size_t> asked;
  auto walk = WalkSegments(options, [&](const StoredBlock&) {
    asked.push_back(files.asked_ahead);
    return absl::OkStatus();
  });
  ASSERT_TRUE(walk.ok() && !walk->damage.has_value());
  ASSERT_GE(walk->segments.size(), 5u);
  for (size_t i = 0; i < walk->segments.size(); ++i) {
    const uint64_t block = walk->segments[i].first.value() - 1;
    EXPECT_EQ(asked.at(block), std::min(i + 3, walk->segments.size()));
  }
}

TEST_P(SegmentedLogTest, D4ARefusedBlockNeverComesBack) {
  for (bool takes_all : {false, true}) {
    for (int failures : {1, 2, 3}) {
      sim::SimDisk disk(random_);
      disk.SetDirectWrites(GetParam() ? sim::SimDisk::kAllDirectWrites : 0);
      ASSERT_TRUE(disk.CreateDirectories(kDirectory).ok());
      StingyFileSystem stingy(disk, GetParam());
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

TEST_P(SegmentedLogTest, D3AFailedSyncEndsTheProcess) {
  std::unique_ptr<SegmentedLog> log = MustOpen();
  ASSERT_TRUE(AppendOne(*log).ok());
  log->Sync();
  disk_.FailSyncsAfter(0);
  try {
    (void)AppendOne(*log);
    log->Sync();
    FAIL() << "the sync's error was ignored";
  } catch (const sim::SimulatedCrash& crash) {
    EXPECT_EQ(crash.kind(), sim::CrashKind::kFatal);
  }
}

// The new segment takes an empty one's name: it must take its place in the list as well, or a trim
// of the empty one would remove the file in use.
TEST_P(SegmentedLogTest, ALargeBlockReplacesAnEmptySegment) {
  std::unique_ptr<SegmentedLog> log = MustOpen();
  std::string body = BodyOf(1, 100'000);
  ASSERT_TRUE(log->Append({Position(1), 1, Term(1), {body}}).ok());
  log->Sync();
  EXPECT_FALSE(log->CanTrim(Position(0)));
  Append(*log, 40);
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

TEST_P(SegmentedLogTest, AnEmptySegmentIsReplacedAfterARestartToo) {
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
TEST_P(SegmentedLogTest, WhatCouldNotBeRemovedGoesBeforeWhatComesLater) {
  kept_segments_max_ = 0;
  StingyFileSystem stingy(disk_, GetParam());
  auto log = OpenOn(stingy);
  ASSERT_TRUE(log.ok());
  Append(**log, 60);
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

// Whatever a crash in the middle of a trim brings back is a contiguous rest.
TEST_P(SegmentedLogTest, SegmentsGoOldestFirst) {
  for (int round = 0; round < 20; ++round) {
    kept_segments_max_ = round % 4;
    std::unique_ptr<SegmentedLog> log = MustOpen();
    Append(*log, 60);
    synced_ = log->last();
    LogStorage::Removal removal = log->Trim(synced_);
    crashes_.CrashAt("journal.before_segment_remove", 2 + round % 5);
    EXPECT_THROW((void)removal(), sim::SimulatedCrash);
    crashes_.Disarm();
    log.reset();
    disk_.Crash();
    auto opened = Open();
    ASSERT_TRUE(opened.ok()) << round << ": " << opened.status();
  }
}

// Without space being given back and taken in between.
TEST_P(SegmentedLogTest, FilesOfTrimmedSegmentsAreUsedAgain) {
  std::unique_ptr<SegmentedLog> log = MustOpen();
  const auto kept = [this] {
    const std::vector<std::string> names = *disk_.List(kDirectory);
    return std::count_if(names.begin(), names.end(), [](const std::string& name) {
      return name.starts_with("kept-segment-") && name.ends_with(".tmp");
    });
  };
  Append(*log, 40);
  synced_ = log->last();
  const uint64_t used = disk_.used_bytes();
  const uint64_t size = log->size_bytes();
  ASSERT_TRUE(log->Trim(synced_)().ok());
  EXPECT_EQ(kept(), 2);
  // What is kept is not the journal's size: that says how much a start has to read.
  EXPECT_EQ(used - disk_.used_bytes(), size - log->size_bytes() - 2 * segment_bytes_);
  const uint64_t trimmed = disk_.used_bytes();
  const Position first = log->first();
  while (kept() > 0 && log->last() < Position(200)) Append(*log, 1);
  EXPECT_EQ(kept(), 0);
  EXPECT_EQ(disk_.used_bytes(), trimmed);
  ExpectAll(*log, first, log->last());
  Append(*log, 20);
  log.reset();
  disk_.Crash();
  log = MustOpen();
  ExpectAll(*log, log->first(), log->last());
}

TEST_P(SegmentedLogTest, TrimRemovesWholeSegmentsOnly) {
  std::unique_ptr<SegmentedLog> log = MustOpen();
  Append(*log, 40);
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

TEST_P(SegmentedLogTest, LostSegmentsAreNotAFreshStart) {
  EXPECT_TRUE(absl::IsDataLoss(Open(/*may_be_fresh=*/false).status()));
}

TEST_P(SegmentedLogTest, TheNextSegmentIsFilledAsTheNewestIsUsed) {
  segment_bytes_ = 1 << 20;
  StingyFileSystem files(disk_, GetParam());
  auto log = OpenOn(files);
  ASSERT_TRUE(log.ok());
  EXPECT_EQ(files.zeros_bytes, segment_bytes_) << "the first one";
  files.zeros_bytes = 0;
  const auto fill = [&] {
    int steps = 0;
    while (LogStorage::Preparation step = (*log)->Prepare()) {
      EXPECT_EQ((*log)->Prepare(), nullptr) << "two at once";
      step();
      ++steps;
    }
    return steps;
  };
  uint64_t used_bytes = 0;
  while (used_bytes < segment_bytes_ * 9 / 10) {
    ASSERT_TRUE(AppendOne(**log, 20'000).ok());
    (*log)->Sync();
    used_bytes += FrameBytes(20'000);
    EXPECT_LE(fill(), 3) << "more than it was behind";
    EXPECT_GE(files.zeros_bytes, std::min(segment_bytes_, used_bytes * 5 / 4));
    EXPECT_LE(files.zeros_bytes, used_bytes * 5 / 4 + segment_bytes_ / 64 + 1024);
  }
  EXPECT_EQ(files.zeros_bytes, segment_bytes_);
  auto spare = disk_.Open("/journal/next-segment.tmp", OpenMode::kReadOnly);
  ASSERT_TRUE(spare.ok());
  EXPECT_EQ(*(*spare)->ReadAt(0, 2 * segment_bytes_), std::string(segment_bytes_, '\0'));
}

TEST_P(SegmentedLogTest, SegmentsOfAnySizeAreFilled) {
  segment_bytes_ = (512 << 10) + 512;
  std::unique_ptr<SegmentedLog> log = MustOpen();
  ASSERT_TRUE(AppendOne(*log, 300'000).ok());
  log->Sync();
  int steps = 0;
  for (; LogStorage::Preparation step = log->Prepare(); ++steps) step();
  EXPECT_EQ(steps, 46);  // of 8 KiB, to 5/4 of 300 KB
}

TEST_P(SegmentedLogTest, AFillThatComesTooLateWritesNothing) {
  std::unique_ptr<SegmentedLog> log = MustOpen();
  LogStorage::Preparation late = log->Prepare();
  ASSERT_NE(late, nullptr);
  const auto append_until_next_segment = [&] {
    for (const uint64_t before = log->size_bytes(); log->size_bytes() == before;) {
      ASSERT_TRUE(AppendOne(*log).ok());
      log->Sync();
    }
  };
  append_until_next_segment();
  late();
  EXPECT_NE(log->Prepare(), nullptr) << "the one after it is to be filled as well";
  const Position last = log->last();
  log.reset();
  log = MustOpen();
  EXPECT_EQ(log->last(), last);
  ExpectAll(*log, Position(1), last);
}

TEST_P(SegmentedLogTest, WithoutSpaceToFillASegmentIsAsGood) {
  StingyFileSystem stingy(disk_, GetParam());
  auto log = OpenOn(stingy);
  ASSERT_TRUE(log.ok());
  stingy.writes_left = 0;
  stingy.failures_left = 1;
  (*log)->Prepare()();
  EXPECT_EQ((*log)->Prepare(), nullptr) << "tried again";
  Append(**log, 60);
  log->reset();
  disk_.Crash();
  log = OpenOn(stingy);
  ASSERT_TRUE(log.ok()) << log.status();
  ExpectAll(**log, Position(1), Position(60));
}

TEST_P(SegmentedLogTest, D3AFailedSyncOfAFillEndsTheProcess) {
  std::unique_ptr<SegmentedLog> log = MustOpen();
  LogStorage::Preparation step = log->Prepare();
  disk_.FailSyncsAfter(0);
  try {
    step();
    EXPECT_TRUE(GetParam()) << "the sync's error was ignored; past the page cache there is none";
  } catch (const sim::SimulatedCrash& crash) {
    EXPECT_EQ(crash.kind(), sim::CrashKind::kFatal);
  }
}

TEST_P(SegmentedLogTest, ABlockTakesOneSync) {
  std::unique_ptr<SegmentedLog> log = MustOpen();
  for (int i = 0; i < 3; ++i) {
    const int64_t before = disk_.syncs();
    ASSERT_TRUE(AppendOne(*log).ok());
    EXPECT_EQ(log->HasUnsynced(), !GetParam());
    log->Sync();
    EXPECT_EQ(disk_.syncs(), before + 1);
    EXPECT_FALSE(log->HasUnsynced());
    EXPECT_EQ(log->IsSettled(), !GetParam());
  }
}

TEST_P(SegmentedLogTest, DamageOfTheNewestBlockIsToldFromATornWriteOnceSettled) {
  std::unique_ptr<SegmentedLog> log = MustOpen();
  Append(*log, 3);
  log->Settle();
  EXPECT_TRUE(log->IsSettled());
  log.reset();
  ExpectThatDamageIsNoticed(3 * 512 + 100);
}

TEST_P(SegmentedLogTest, AStartMarksTheNewestBlock) {
  std::unique_ptr<SegmentedLog> log = MustOpen();
  ASSERT_TRUE(AppendOne(*log).ok());
  log->Sync();
  log.reset();
  disk_.ProcessDied();
  MustOpen().reset();
  ExpectThatDamageIsNoticed(512 + 100);
}

// An idle server on a full disk may stand there for long.
TEST_P(SegmentedLogTest, ARefusedBlockLeavesTheMarkOfTheOneBeforeIt) {
  StingyFileSystem stingy(disk_, GetParam());
  auto log = OpenOn(stingy);
  ASSERT_TRUE(log.ok());
  ASSERT_TRUE(AppendOne(**log).ok());
  (*log)->Sync();
  stingy.writes_left = 0;
  stingy.failures_left = 1;
  EXPECT_TRUE(absl::IsResourceExhausted(AppendOne(**log)));
  log->reset();
  ExpectThatDamageIsNoticed(512 + 100);
}

TEST_P(SegmentedLogTest, AFileThatCannotBeWrittenDirectlyAnyMoreIsWrittenThroughTheCache) {
  StingyFileSystem files(disk_, GetParam());
  auto log = OpenOn(files);
  ASSERT_TRUE(log.ok());
  for (int i = 0; i < 60; ++i) {
    files.can_write_directly = GetParam() && i < 20;
    ASSERT_TRUE(AppendOne(**log).ok());
    (*log)->Sync();
    if (LogStorage::Preparation step = (*log)->Prepare()) step();
  }
  log->reset();
  disk_.Crash(sim::CrashMode::kDropAll);
  log = OpenOn(files);
  ASSERT_TRUE(log.ok()) << log.status();
  ExpectAll(**log, Position(1), Position(60));
}

INSTANTIATE_TEST_SUITE_P(ThroughTheCacheAndPastIt, SegmentedLogTest, ::testing::Bool());

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
