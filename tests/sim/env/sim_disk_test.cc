#include "tests/sim/env/sim_disk.h"

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/sim/env/seeded_random.h"

namespace tidemark::sim {
namespace {

using testing::ElementsAre;
using testing::Pair;

constexpr CrashMode kAllModes[] = {CrashMode::kKeepAll, CrashMode::kDropAll, CrashMode::kMixed,
                                   CrashMode::kTorn};

class SimDiskTest : public testing::Test {
 protected:
  SimDiskTest() { EXPECT_TRUE(disk_.CreateDirectories("/d").ok()); }

  static std::unique_ptr<File> Create(SimDisk& disk, const std::string& path) {
    return *disk.Open(path, OpenMode::kCreateExclusive);
  }
  std::unique_ptr<File> Create(const std::string& path) { return Create(disk_, path); }
  static void Write(File& file, uint64_t offset, absl::string_view bytes) {
    ASSERT_TRUE(file.WriteAt(offset, {bytes}).ok());
  }
  static std::string Content(SimDisk& disk, const std::string& path) {
    auto file = disk.Open(path, OpenMode::kReadOnly);
    return file.ok() ? *(*file)->ReadAt(0, 1 << 20) : std::string(file.status().message());
  }
  // A durable file with the content.
  std::unique_ptr<File> CreateDurable(const std::string& path, absl::string_view bytes) {
    std::unique_ptr<File> file = Create(path);
    Write(*file, 0, bytes);
    EXPECT_TRUE(file->SyncData().ok());
    EXPECT_TRUE(disk_.SyncDirectory("/d").ok());
    return file;
  }

  SeededRandom random_{1};
  SimDisk disk_{random_};
};

TEST_F(SimDiskTest, BehavesLikeADiskWithoutFaults) {
  std::unique_ptr<File> file = Create("/d/a");
  ASSERT_TRUE(file->WriteAt(4094, {"one", "", "two"}).ok());
  EXPECT_EQ(*file->Size(), 4100u);
  EXPECT_EQ(*file->ReadAt(4093, 100), std::string("\0onetwo", 7));
  ASSERT_TRUE(file->Preallocate(5000).ok());
  EXPECT_EQ(file->ReadAt(0, 9999)->size(), 5000u);
  ASSERT_TRUE(file->Truncate(4096).ok());
  ASSERT_TRUE(file->Truncate(4100).ok());
  EXPECT_EQ(*file->ReadAt(4094, 100), std::string("on\0\0\0\0", 6));
  EXPECT_EQ(disk_.Open("/d/a", OpenMode::kCreateExclusive).status().code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(disk_.Open("/d/b", OpenMode::kReadWrite).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(disk_.Open("/e/b", OpenMode::kCreateExclusive).status().code(),
            absl::StatusCode::kNotFound);
  ASSERT_TRUE(disk_.Rename("/d/a", "/d/b").ok());
  EXPECT_FALSE(disk_.Exists("/d/a"));
  ASSERT_TRUE(disk_.CreateDirectories("/d/sub/deep/").ok());
  EXPECT_THAT(*disk_.List("/d"), ElementsAre("b", "sub"));
  ASSERT_TRUE(disk_.Remove("/d/b").ok());
  EXPECT_EQ(disk_.Remove("/d/b").code(), absl::StatusCode::kNotFound);
}

TEST_F(SimDiskTest, SyncedBytesSurviveEveryCrash) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    SeededRandom random(seed);
    SimDisk disk(random);
    ASSERT_TRUE(disk.CreateDirectories("/d").ok());
    std::unique_ptr<File> file = Create(disk, "/d/a");
    Write(*file, 0, "acknowledged");
    ASSERT_TRUE(file->SyncData().ok());
    ASSERT_TRUE(disk.SyncDirectory("/d").ok());
    Write(*file, 12, "not yet, and in the same page");
    disk.Crash();
    ASSERT_EQ(Content(disk, "/d/a").substr(0, 12), "acknowledged") << "seed " << seed;
  }
}

TEST_F(SimDiskTest, DropAllLosesWhatWasNotSynced) {
  std::unique_ptr<File> file = CreateDurable("/d/a", "synced");
  Write(*file, 0, "SYNCED and more");
  Create("/d/b");
  ASSERT_TRUE(disk_.Rename("/d/a", "/d/c").ok());
  disk_.Crash(CrashMode::kDropAll);
  EXPECT_THAT(*disk_.List("/d"), ElementsAre("a"));
  EXPECT_EQ(Content(disk_, "/d/a"), "synced");
}

TEST_F(SimDiskTest, KeepAllAndADeadProcessLoseNothing) {
  Write(*Create("/d/a"), 0, "kept");
  disk_.ProcessDied();
  EXPECT_EQ(Content(disk_, "/d/a"), "kept");
  disk_.Crash(CrashMode::kKeepAll);
  EXPECT_EQ(Content(disk_, "/d/a"), "kept");
  disk_.Crash(CrashMode::kDropAll);
  EXPECT_EQ(Content(disk_, "/d/a"), "kept") << "what came through a crash is durable";
}

TEST_F(SimDiskTest, PagesAreLostOneByOne) {
  std::set<std::string> outcomes;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SeededRandom random(seed);
    SimDisk disk(random);
    std::unique_ptr<File> file = Create(disk, "/a");
    Write(*file, 0, std::string(2 * kPageBytes, 'o'));
    ASSERT_TRUE(file->SyncData().ok());
    ASSERT_TRUE(disk.SyncDirectory("/").ok());
    Write(*file, 0, std::string(2 * kPageBytes, 'n'));
    disk.Crash(CrashMode::kMixed);
    const std::string content = Content(disk, "/a");
    ASSERT_EQ(content.size(), 2 * kPageBytes);
    outcomes.insert({content[0], content[kPageBytes]});
    EXPECT_EQ(content,
              std::string(kPageBytes, content[0]) + std::string(kPageBytes, content[kPageBytes]));
  }
  EXPECT_THAT(outcomes, ElementsAre("nn", "no", "on", "oo"));
}

TEST_F(SimDiskTest, TornModeTearsAndGarbles) {
  int torn = 0;
  int garbled = 0;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    SeededRandom random(seed);
    SimDisk disk(random);
    std::unique_ptr<File> file = Create(disk, "/a");
    Write(*file, 0, std::string(kPageBytes, 'o'));
    ASSERT_TRUE(file->SyncData().ok());
    ASSERT_TRUE(disk.SyncDirectory("/").ok());
    Write(*file, 0, std::string(kPageBytes, 'n'));
    disk.Crash(CrashMode::kTorn);
    const std::set<char> bytes = [&] {
      const std::string content = Content(disk, "/a");
      return std::set<char>(content.begin(), content.end());
    }();
    if (bytes == std::set<char>{'n', 'o'}) ++torn;
    if (bytes.size() > 2) ++garbled;
  }
  EXPECT_GT(torn, 40);
  EXPECT_GT(garbled, 20);
}

TEST_F(SimDiskTest, UnsyncedGrowthMayBeLostInPart) {
  std::set<uint64_t> sizes;
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    SeededRandom random(seed);
    SimDisk disk(random);
    std::unique_ptr<File> file = Create(disk, "/a");
    ASSERT_TRUE(disk.SyncDirectory("/").ok());
    Write(*file, 0, "0123456789");
    disk.Crash(CrashMode::kTorn);
    sizes.insert(Content(disk, "/a").size());
  }
  EXPECT_TRUE(sizes.contains(0) && sizes.contains(10));
  EXPECT_GT(sizes.size(), 4u);
}

TEST_F(SimDiskTest, AnUnsyncedCutIsDoneOrNot) {
  std::set<std::string> outcomes;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    for (CrashMode mode : kAllModes) {
      SeededRandom random(seed);
      SimDisk disk(random);
      std::unique_ptr<File> file = Create(disk, "/a");
      Write(*file, 0, "synced bytes");
      ASSERT_TRUE(file->SyncData().ok());
      ASSERT_TRUE(disk.SyncDirectory("/").ok());
      ASSERT_TRUE(file->Truncate(6).ok());
      disk.Crash(mode);
      outcomes.insert(Content(disk, "/a"));
    }
  }
  EXPECT_THAT(outcomes, ElementsAre("synced", "synced bytes"));
}

TEST_F(SimDiskTest, ASyncedCutStaysCut) {
  std::unique_ptr<File> file = CreateDurable("/d/a", std::string(3 * kPageBytes, 'x'));
  ASSERT_TRUE(file->Truncate(5).ok());
  Write(*file, 2 * kPageBytes, "tail");
  ASSERT_TRUE(file->SyncData().ok());
  disk_.Crash(CrashMode::kDropAll);
  std::string expected = "xxxxx";
  expected.resize(2 * kPageBytes, '\0');
  EXPECT_EQ(Content(disk_, "/d/a"), expected + "tail");
}

TEST_F(SimDiskTest, ARenameIsKeptOrLostAsAWhole) {
  std::set<std::string> outcomes;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    for (CrashMode mode : kAllModes) {
      SeededRandom random(seed);
      SimDisk disk(random);
      for (const char* path : {"/config", "/config.new"}) {
        std::unique_ptr<File> file = Create(disk, path);
        Write(*file, 0, path);
        ASSERT_TRUE(file->SyncData().ok());
      }
      ASSERT_TRUE(disk.SyncDirectory("/").ok());
      ASSERT_TRUE(disk.Rename("/config.new", "/config").ok());
      disk.Crash(mode);
      outcomes.insert(Content(disk, "/config") + (disk.Exists("/config.new") ? " both" : ""));
    }
  }
  EXPECT_THAT(outcomes, ElementsAre("/config both", "/config.new"));
}

TEST_F(SimDiskTest, SyncingADirectoryBringsWhatItsEntriesDependOn) {
  ASSERT_TRUE(disk_.CreateDirectories("/other").ok());
  Create("/other/new");
  Create("/other/unrelated");
  ASSERT_TRUE(disk_.Rename("/other/new", "/d/old").ok());
  ASSERT_TRUE(disk_.SyncDirectory("/d").ok());
  EXPECT_THAT(disk_.DurableFiles(), ElementsAre(Pair("/d/old", "")));
  disk_.Crash(CrashMode::kKeepAll);
  EXPECT_THAT(disk_.DurableFiles(), ElementsAre(Pair("/d/old", ""), Pair("/other/unrelated", "")));
}

TEST_F(SimDiskTest, HandlesAndLocksEndWithTheProcess) {
  std::unique_ptr<File> file = CreateDurable("/d/a", "x");
  std::unique_ptr<FileLock> lock = *disk_.Lock("/d/lock");
  EXPECT_EQ(disk_.Lock("/d/lock").status().code(), absl::StatusCode::kFailedPrecondition);
  disk_.Crash();
  EXPECT_FALSE(file->ReadAt(0, 1).ok());
  EXPECT_FALSE(file->WriteAt(0, {"y"}).ok());
  EXPECT_FALSE(file->SyncData().ok());
  EXPECT_FALSE(file->Size().ok());
  std::unique_ptr<FileLock> second = *disk_.Lock("/d/lock");
  lock.reset();
  EXPECT_FALSE(disk_.Lock("/d/lock").ok()) << "the old owner must not release the new lock";
  second.reset();
  EXPECT_TRUE(disk_.Lock("/d/lock").ok());
}

TEST_F(SimDiskTest, AFullDiskTakesWhatFits) {
  std::unique_ptr<File> file = CreateDurable("/d/a", "x");
  disk_.SetCapacityBytes(3 * kPageBytes);
  const absl::Status status = file->WriteAt(0, {std::string(4 * kPageBytes, 'y')});
  EXPECT_EQ(status, absl::ResourceExhaustedError("pwritev /d/a: No space left on device"));
  EXPECT_EQ(*file->Size(), 3 * kPageBytes);
  EXPECT_EQ(disk_.used_bytes(), 3 * kPageBytes);
  EXPECT_TRUE(file->WriteAt(0, {"in pages that are there"}).ok());
  EXPECT_EQ(file->Preallocate(4 * kPageBytes).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(disk_.Open("/d/b", OpenMode::kCreateExclusive).status().code(),
            absl::StatusCode::kResourceExhausted);
  ASSERT_TRUE(disk_.Remove("/d/a").ok());
  EXPECT_EQ(disk_.used_bytes(), 0u);
  std::unique_ptr<File> reserved = Create("/d/b");
  EXPECT_TRUE(reserved->Preallocate(3 * kPageBytes).ok());
  EXPECT_TRUE(reserved->WriteAt(0, {std::string(3 * kPageBytes, 'z')}).ok());
  disk_.ClearFaults();
  EXPECT_TRUE(reserved->Preallocate(4 * kPageBytes).ok());
}

TEST_F(SimDiskTest, CallsFailAfterTheCount) {
  std::unique_ptr<File> file = CreateDurable("/d/a", "0123456789");
  disk_.FailWritesAfter(1);
  EXPECT_TRUE(file->WriteAt(0, {"a"}).ok());
  EXPECT_EQ(file->WriteAt(0, {"bbb"}), absl::InternalError("pwritev /d/a: Input/output error"));
  EXPECT_EQ(file->Truncate(1).code(), absl::StatusCode::kInternal);
  disk_.ClearFaults();
  disk_.FailReadsAfter(0);
  EXPECT_EQ(file->ReadAt(0, 1).status(), absl::InternalError("pread /d/a: Input/output error"));
  disk_.ClearFaults();
  EXPECT_TRUE(file->ReadAt(0, 1).ok());
}

// ATC'20: after a failed fsync the kernel marks the pages clean; the next fsync succeeds.
TEST_F(SimDiskTest, ARetriedSyncProvesNothing) {
  std::unique_ptr<File> file = CreateDurable("/d/a", "old");
  Write(*file, 0, "new");
  disk_.FailSyncsAfter(0);
  EXPECT_EQ(file->SyncData(), absl::InternalError("fdatasync /d/a: Input/output error"));
  EXPECT_FALSE(disk_.SyncDirectory("/d").ok());
  disk_.ClearFaults();
  EXPECT_TRUE(file->SyncData().ok());
  EXPECT_EQ(Content(disk_, "/d/a"), "new");
  disk_.Crash(CrashMode::kKeepAll);
  EXPECT_EQ(Content(disk_, "/d/a"), "old");
}

TEST_F(SimDiskTest, ADurableDirectWriteSurvivesAndNothingElse) {
  std::unique_ptr<File> file = CreateDurable("/d/a", std::string(2048, 'o'));
  EXPECT_TRUE(absl::IsUnimplemented(file->WriteDirectly(0, {"x"}, Durability::kDurable)));
  disk_.SetDirectWrites(2);
  Write(*file, 512, std::string(10, 'u'));
  ASSERT_TRUE(file->WriteDirectly(1024, {"du", "rable"}, Durability::kDurable).ok());
  ASSERT_TRUE(file->WriteDirectly(1536, {"written"}, Durability::kWritten).ok());
  EXPECT_TRUE(absl::IsUnimplemented(file->WriteDirectly(0, {"x"}, Durability::kDurable)));
  disk_.Crash(CrashMode::kDropAll);
  std::string expected(2048, 'o');
  expected.replace(1024, 512, "durable" + std::string(505, '\0'));
  EXPECT_EQ(Content(disk_, "/d/a"), expected);
}

TEST_F(SimDiskTest, AFlippedBitIsReadAndStays) {
  CreateDurable("/d/a", "abc");
  ASSERT_TRUE(disk_.FlipBit("/d/a", 1, 0).ok());
  EXPECT_EQ(Content(disk_, "/d/a"), "acc");
  disk_.Crash(CrashMode::kDropAll);
  EXPECT_EQ(Content(disk_, "/d/a"), "acc");
  EXPECT_EQ(disk_.FlipBit("/d/a", 3, 0).code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(disk_.FlipBit("/d/b", 0, 0).code(), absl::StatusCode::kNotFound);
}

TEST_F(SimDiskTest, ADurableCloneIsTheDiskAfterLosingEverythingUnsynced) {
  std::unique_ptr<File> file = CreateDurable("/d/a", "synced");
  Write(*file, 6, " and not");
  std::unique_ptr<SimDisk> clone = disk_.CloneDurable();
  EXPECT_EQ(Content(*clone, "/d/a"), "synced");
  std::unique_ptr<File> written = *clone->Open("/d/a", OpenMode::kReadWrite);
  Write(*written, 0, "CLONED");
  EXPECT_EQ(Content(disk_, "/d/a"), "synced and not");
  EXPECT_THAT(disk_.DurableFiles(), ElementsAre(Pair("/d/a", "synced")));
}

}  // namespace
}  // namespace tidemark::sim
