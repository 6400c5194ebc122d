#include "src/base/posix_file_system.h"

#include <sys/stat.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "src/base/temporary_directory.h"

namespace tidemark {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class PosixFileSystemTest : public testing::Test {
 protected:
  std::string Path(const std::string& name) const { return directory_.path() + "/" + name; }

  std::unique_ptr<File> Create(const std::string& name) {
    auto file = files_.Open(Path(name), OpenMode::kCreateExclusive);
    EXPECT_TRUE(file.ok()) << file.status();
    return *std::move(file);
  }
  static mode_t ModeOf(const std::string& path) {
    struct stat info = {};
    EXPECT_EQ(::stat(path.c_str(), &info), 0);
    return info.st_mode & 0777;
  }

  TemporaryDirectory directory_;
  PosixFileSystem files_;
};

TEST_F(PosixFileSystemTest, WritesRunsInOrderAndReadsBack) {
  std::unique_ptr<File> file = Create("a");
  ASSERT_TRUE(file->WriteAt(3, {"one", "", "two", "three"}).ok());
  EXPECT_EQ(*file->ReadAt(0, 100), std::string("\0\0\0onetwothree", 14));
  EXPECT_EQ(*file->ReadAt(6, 3), "two");
  EXPECT_EQ(*file->ReadAt(14, 10), "");
  EXPECT_EQ(*file->Size(), 14u);
  EXPECT_TRUE(file->SyncData().ok());
}

TEST_F(PosixFileSystemTest, WritesDirectlyWhatOthersRead) {
  std::unique_ptr<File> file = Create("a");
  ASSERT_TRUE(file->Preallocate(16 << 20).ok());
  ASSERT_TRUE(file->WriteAt(0, {std::string(3000, 'b')}).ok());
  EXPECT_EQ(file->ReadAt(0, 1)->size(), 1u);
  ASSERT_TRUE(files_.Rename(Path("a"), Path("b")).ok());
  std::string expected(16 << 20, '\0');
  expected.replace(0, 3000, 3000, 'b');
  // More than one chunk, from runs that end anywhere.
  const std::vector<std::string> runs = {"start", std::string(700'000, 'r'), "",
                                         std::string(10'500'001, 's'), "end"};
  const auto put = [&](uint64_t offset, Durability durability) {
    const std::vector<absl::string_view> views(runs.begin(), runs.end());
    std::string whole;
    for (const std::string& run : runs) whole += run;
    whole.resize(WholeSectorsBytes(whole.size()));
    expected.replace(offset, whole.size(), whole);
    return file->WriteDirectly(offset, views, durability);
  };
  const absl::Status written = put(512, Durability::kDurable);
  if (absl::IsUnimplemented(written)) {
    GTEST_SKIP()
        << "direct writes are NOT tested: the test directory's file system cannot do them ("
        << written << "); use one on a disk";
  }
  ASSERT_TRUE(written.ok()) << written;
  EXPECT_EQ(*file->ReadAt(0, 32 << 20), expected);
  ASSERT_TRUE(put(1'024'000, Durability::kWritten).ok());
  EXPECT_EQ(*(*files_.Open(Path("b"), OpenMode::kReadOnly))->ReadAt(0, 32 << 20), expected);
}

TEST_F(PosixFileSystemTest, WhatCannotBeWrittenDirectlySaysSo) {
  std::unique_ptr<File> null = *files_.Open("/dev/null", OpenMode::kReadWrite);
  EXPECT_TRUE(absl::IsUnimplemented(null->WriteDirectly(0, {"x"}, Durability::kDurable)));
}

TEST_F(PosixFileSystemTest, WritesMoreRunsThanOneSystemCallTakes) {
  std::unique_ptr<File> file = Create("a");
  std::vector<std::string> texts;
  std::string expected;
  for (int i = 0; i < 3000; ++i) {
    texts.push_back(std::to_string(i));
    expected += texts.back();
  }
  const std::vector<absl::string_view> runs(texts.begin(), texts.end());
  ASSERT_TRUE(file->WriteAt(0, runs).ok());
  EXPECT_EQ(*file->ReadAt(0, 10 * expected.size()), expected);
}

TEST_F(PosixFileSystemTest, AReadFarLargerThanTheFileCostsTheFilesSize) {
  std::unique_ptr<File> file = Create("a");
  ASSERT_TRUE(file->WriteAt(0, {"small"}).ok());
  EXPECT_EQ(*file->ReadAt(1, size_t{1} << 40), "mall");
  EXPECT_EQ(*file->ReadAt(9, size_t{1} << 40), "");
}

TEST_F(PosixFileSystemTest, PreallocatesZerosAndKeepsContent) {
  std::unique_ptr<File> file = Create("a");
  ASSERT_TRUE(file->WriteAt(0, {"abc"}).ok());
  ASSERT_TRUE(file->Preallocate(8).ok());
  EXPECT_EQ(*file->ReadAt(0, 100), std::string("abc\0\0\0\0\0", 8));
  ASSERT_TRUE(file->Preallocate(2).ok());
  ASSERT_TRUE(file->Preallocate(0).ok());
  EXPECT_EQ(*file->Size(), 8u);
  ASSERT_TRUE(file->Truncate(2).ok());
  EXPECT_EQ(*file->ReadAt(0, 100), "ab");
}

TEST_F(PosixFileSystemTest, PreallocatesAnewWhateverTheFileHeld) {
  std::unique_ptr<File> file = Create("a");
  for (const uint64_t size_bytes : {100'000, 300'000, 8'192, 1}) {
    ASSERT_TRUE(file->WriteAt(0, {std::string(200'000, 'x')}).ok());
    ASSERT_TRUE(file->PreallocateAnew(size_bytes).ok());
    EXPECT_EQ(*file->ReadAt(0, 1 << 20), std::string(size_bytes, '\0'));
  }
}

TEST_F(PosixFileSystemTest, ModesKeepOthersOut) {
  ASSERT_TRUE(files_.CreateDirectories(Path("x/y/")).ok());
  Create("x/y/file");
  EXPECT_EQ(ModeOf(Path("x")), 0700u);
  EXPECT_EQ(ModeOf(Path("x/y")), 0700u);
  EXPECT_EQ(ModeOf(Path("x/y/file")), 0600u);
  EXPECT_TRUE(files_.CreateDirectories(Path("x/y")).ok());
}

TEST_F(PosixFileSystemTest, ListsSortedRenamesAndRemoves) {
  Create("b");
  Create("a");
  EXPECT_THAT(*files_.List(directory_.path()), ElementsAre("a", "b"));
  ASSERT_TRUE(files_.Rename(Path("b"), Path("c")).ok());
  ASSERT_TRUE(files_.Remove(Path("a")).ok());
  ASSERT_TRUE(files_.SyncDirectory(directory_.path()).ok());
  EXPECT_THAT(*files_.List(directory_.path()), ElementsAre("c"));
  EXPECT_TRUE(files_.Exists(Path("c")));
  EXPECT_FALSE(files_.Exists(Path("b")));
}

TEST_F(PosixFileSystemTest, ErrorsNameOperationAndPath) {
  Create("file");
  const std::string missing = Path("missing");
  const std::string no_such = ": No such file or directory";
  EXPECT_EQ(files_.Open(missing, OpenMode::kReadWrite).status(),
            absl::NotFoundError("open " + missing + no_such));
  EXPECT_EQ(files_.Open(Path("file"), OpenMode::kCreateExclusive).status(),
            absl::AlreadyExistsError("create " + Path("file") + ": File exists"));
  EXPECT_EQ(files_.List(missing).status(), absl::NotFoundError("list " + missing + no_such));
  EXPECT_EQ(files_.Remove(missing), absl::NotFoundError("remove " + missing + no_such));
  EXPECT_EQ(files_.Rename(missing, Path("to")),
            absl::NotFoundError("rename " + missing + " to " + Path("to") + no_such));
  EXPECT_EQ(files_.SyncDirectory(missing),
            absl::NotFoundError("open directory " + missing + no_such));
  EXPECT_EQ(files_.CreateDirectories(Path("file")),
            absl::InternalError("mkdir " + Path("file") + ": Not a directory"));
  absl::StatusOr<std::unique_ptr<File>> read_only = files_.Open(Path("file"), OpenMode::kReadOnly);
  EXPECT_EQ((*read_only)->WriteAt(0, {"x"}),
            absl::InternalError("pwritev " + Path("file") + ": Bad file descriptor"));
}

TEST_F(PosixFileSystemTest, AFullDiskIsResourceExhausted) {
  absl::StatusOr<std::unique_ptr<File>> full = files_.Open("/dev/full", OpenMode::kReadWrite);
  ASSERT_TRUE(full.ok()) << full.status();
  EXPECT_EQ((*full)->WriteAt(0, {"x"}),
            absl::ResourceExhaustedError("pwritev /dev/full: No space left on device"));
}

TEST_F(PosixFileSystemTest, ALockIsHeldOnceUntilReleased) {
  absl::StatusOr<std::unique_ptr<FileLock>> first = files_.Lock(Path("lock"));
  ASSERT_TRUE(first.ok()) << first.status();
  const absl::Status second = files_.Lock(Path("lock")).status();
  EXPECT_EQ(second.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.message()), HasSubstr(Path("lock") + ": held by another"));
  first->reset();
  EXPECT_TRUE(files_.Lock(Path("lock")).ok());
}

TEST_F(PosixFileSystemTest, ALockIsSeenWithoutTakingIt) {
  EXPECT_FALSE(files_.IsLocked(Path("lock")).ok());
  EXPECT_FALSE(files_.Exists(Path("lock")));
  absl::StatusOr<std::unique_ptr<FileLock>> lock = files_.Lock(Path("lock"));
  ASSERT_TRUE(lock.ok() && files_.Lock(Path("other")).ok());
  absl::StatusOr<bool> locked = files_.IsLocked(Path("lock"));
  if (absl::IsUnimplemented(locked.status())) GTEST_SKIP() << locked.status();
  EXPECT_EQ(*locked, true);
  EXPECT_EQ(*files_.IsLocked(Path("other")), false);
  lock->reset();
  EXPECT_EQ(*files_.IsLocked(Path("lock")), false);
}

}  // namespace
}  // namespace tidemark
