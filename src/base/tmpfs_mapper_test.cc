#include "src/base/tmpfs_mapper.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "src/base/posix_file_system.h"
#include "src/base/temporary_directory.h"

namespace tidemark {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::Ge;
using testing::HasSubstr;
using testing::Le;

constexpr size_t kRegionBytes = 1 << 20;

// Any file system will do, apart from being full.
class TmpfsMapperTest : public testing::Test {
 protected:
  std::vector<std::string> Files() { return *PosixFileSystem().List(directory_.path()); }
  TemporaryDirectory directory_;
};

void ExpectZeroAndWritable(MemoryRegion& region) {
  ASSERT_EQ(region.size_bytes(), kRegionBytes);
  EXPECT_TRUE(std::all_of(region.data(), region.data() + kRegionBytes,
                          [](char byte) { return byte == 0; }));
  std::fill_n(region.data(), kRegionBytes, 'x');
  EXPECT_EQ(region.data()[kRegionBytes - 1], 'x');
}

TEST_F(TmpfsMapperTest, ARegionIsAFileUntilDiscarded) {
  std::unique_ptr<TmpfsMapper> mapper = *TmpfsMapper::Lock(directory_.path());
  std::unique_ptr<MemoryRegion> region = *mapper->Create("p0-1", kRegionBytes);
  ExpectZeroAndWritable(*region);
  EXPECT_THAT(Files(), ElementsAre("lock", "p0-1.region"));
  EXPECT_EQ(mapper->Create("p0-1", kRegionBytes).status().code(), absl::StatusCode::kAlreadyExists);
  region->Discard();
  EXPECT_THAT(Files(), ElementsAre("lock"));
  EXPECT_EQ(region->data()[kRegionBytes - 1], 'x');  // for those who still read it
  ExpectZeroAndWritable(**mapper->Create("p0-1", kRegionBytes));
}

TEST_F(TmpfsMapperTest, RefreshSeesWhatOthersTook) {
  constexpr uint64_t kTakenBytes = uint64_t{256} << 20;
  std::unique_ptr<TmpfsMapper> mapper = *TmpfsMapper::Lock(directory_.path());
  const uint64_t before = mapper->space().free_bytes;
  auto foreign =
      *PosixFileSystem().Open(directory_.path() + "/foreign", OpenMode::kCreateExclusive);
  ASSERT_TRUE(foreign->Preallocate(kTakenBytes).ok());
  EXPECT_EQ(mapper->space().free_bytes, before);
  // Others use this file system too, so it is asked right before and right after.
  const auto free_now = [this] { return std::filesystem::space(directory_.path()).available; };
  const auto first = free_now();
  mapper->Refresh();
  const auto [low, high] = std::minmax({first, free_now()});
  EXPECT_THAT(mapper->space().free_bytes, AllOf(Ge(low), Le(high)));
}

// Runs what it was given when it is told to.
class HeldRunner : public BlockingRunner {
 public:
  void Run(Task task) override { held_.push_back(std::move(task)); }
  void RunAll() {
    for (Task& task : std::exchange(held_, {})) task();
  }

 private:
  std::vector<Task> held_;
};

TEST_F(TmpfsMapperTest, ARegionThatIsExpectedIsMadeAhead) {
  auto background = std::make_shared<HeldRunner>();
  std::unique_ptr<TmpfsMapper> mapper = *TmpfsMapper::Lock(directory_.path(), background);
  mapper->Expect(kRegionBytes);
  ExpectZeroAndWritable(**mapper->Create("p0-1", kRegionBytes));  // not there yet
  background->RunAll();
  EXPECT_THAT(Files(), ElementsAre("lock", "next.spare", "p0-1.region"));
  std::unique_ptr<MemoryRegion> region = *mapper->Create("p0-2", kRegionBytes);
  ExpectZeroAndWritable(*region);
  EXPECT_THAT(Files(), ElementsAre("lock", "p0-1.region", "p0-2.region"));
  background->RunAll();
  // Another size, or a name that is taken, leaves the spare where it is.
  EXPECT_TRUE(mapper->Create("p0-3", 2 * kRegionBytes).ok());
  EXPECT_EQ(mapper->Create("p0-2", kRegionBytes).status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(Files(),
              ElementsAre("lock", "next.spare", "p0-1.region", "p0-2.region", "p0-3.region"));
  region.reset();
  mapper.reset();
  background->RunAll();
  std::ofstream(directory_.path() + "/next.spare") << "of a process that was killed";
  mapper = *TmpfsMapper::Lock(directory_.path());
  EXPECT_THAT(Files(), ElementsAre("lock", "p0-1.region", "p0-2.region", "p0-3.region"));
}

TEST_F(TmpfsMapperTest, PagesAreGivenBackElsewhere) {
  auto background = std::make_shared<HeldRunner>();
  std::unique_ptr<TmpfsMapper> mapper = *TmpfsMapper::Lock(directory_.path(), background);
  std::unique_ptr<MemoryRegion> region = *mapper->Create("p0-1", kRegionBytes);
  char* const data = region->data();
  region.reset();
  data[0] = 'x';  // still mapped
  background->RunAll();
  unsigned char is_resident = 0;
  EXPECT_NE(::mincore(data, 1, &is_resident), 0);
}

TEST_F(TmpfsMapperTest, TheNextOwnerFindsWhatWasWritten) {
  (*(*TmpfsMapper::Lock(directory_.path()))->Create("p0-1", kRegionBytes))->data()[7] = 'x';
  std::unique_ptr<TmpfsMapper> next = *TmpfsMapper::Lock(directory_.path());
  EXPECT_THAT(next->Leftovers(), ElementsAre("p0-1"));
  std::unique_ptr<MemoryRegion> region = *next->Open("p0-1");
  EXPECT_EQ(region->size_bytes(), kRegionBytes);
  EXPECT_EQ(region->data()[7], 'x');
  EXPECT_THAT(next->Leftovers(), ElementsAre());
  EXPECT_EQ(next->Open("p0-2").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(TmpfsMapperTest, TakesOnlyRegionsForLeftoversAndRemovesWhatItIsTold) {
  std::ofstream(directory_.path() + "/p0-9.region") << "stale";
  std::ofstream(directory_.path() + "/notes.txt") << "somebody else's";
  std::unique_ptr<TmpfsMapper> mapper = *TmpfsMapper::Lock(directory_.path());
  EXPECT_THAT(mapper->Leftovers(), ElementsAre("p0-9"));
  mapper->Remove("p0-9");
  EXPECT_THAT(mapper->Leftovers(), ElementsAre());
  EXPECT_THAT(Files(), ElementsAre("lock", "notes.txt"));
}

TEST_F(TmpfsMapperTest, AnEmptyLeftoverIsDamage) {
  std::ofstream(directory_.path() + "/p0-9.region") << "";
  std::unique_ptr<TmpfsMapper> mapper = *TmpfsMapper::Lock(directory_.path());
  EXPECT_EQ(mapper->Open("p0-9").status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(TmpfsMapperTest, TheDirectoryIsOwnedAsLongAsARegionLives) {
  std::unique_ptr<TmpfsMapper> mapper = *TmpfsMapper::Lock(directory_.path());
  std::unique_ptr<MemoryRegion> region = *mapper->Create("p0-1", kRegionBytes);
  mapper.reset();
  EXPECT_EQ(TmpfsMapper::Lock(directory_.path()).status().code(),
            absl::StatusCode::kFailedPrecondition);
  region.reset();
  EXPECT_TRUE(TmpfsMapper::Lock(directory_.path()).ok());
}

TEST_F(TmpfsMapperTest, ARefusalNamesPathAndSizeAndLeavesNoFile) {
  std::unique_ptr<TmpfsMapper> mapper = *TmpfsMapper::Lock(directory_.path());
  const absl::Status status = mapper->Create("huge", size_t{1} << 60).status();
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("memory region of 1152921504606846976 bytes: fallocate " +
                        directory_.path() + "/huge.region: "));
  EXPECT_THAT(Files(), ElementsAre("lock"));
}

// Or the first touch of a missing page of a full tmpfs would be SIGBUS.
TEST_F(TmpfsMapperTest, ALeftoverWithHolesGetsAllItsPages) {
  const std::string path = directory_.path() + "/p0-1.region";
  auto bytes_of_file = [&] {
    struct stat info {};
    EXPECT_EQ(::stat(path.c_str(), &info), 0);
    return static_cast<size_t>(info.st_blocks) * 512;
  };
  std::ofstream(path) << "begin";
  std::filesystem::resize_file(path, kRegionBytes);
  EXPECT_LT(bytes_of_file(), kRegionBytes);
  std::unique_ptr<TmpfsMapper> mapper = *TmpfsMapper::Lock(directory_.path());
  std::unique_ptr<MemoryRegion> region = *mapper->Open("p0-1");
  EXPECT_GE(bytes_of_file(), kRegionBytes);
  EXPECT_EQ(absl::string_view(region->data(), 5), "begin");
}

TEST(TmpfsMapper, MoreThanTheTmpfsHasIsResourceExhausted) {
  if (!PosixFileSystem().Exists("/dev/shm")) GTEST_SKIP() << "no tmpfs here";
  TemporaryDirectory directory("/dev/shm");
  std::unique_ptr<TmpfsMapper> mapper = *TmpfsMapper::Lock(directory.path());
  EXPECT_EQ(mapper->Create("huge", size_t{1} << 46).status().code(),
            absl::StatusCode::kResourceExhausted);
}

TEST(AnonymousMapper, GivesZeroedMemoryOrRefuses) {
  AnonymousMapper mapper;
  ExpectZeroAndWritable(**mapper.Create("p0-1", kRegionBytes));
  const absl::Status status = mapper.Create("huge", size_t{1} << 60).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("1152921504606846976 bytes"));
}

}  // namespace
}  // namespace tidemark
