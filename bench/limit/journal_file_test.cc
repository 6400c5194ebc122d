#include "bench/limit/journal_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace tidemark::bench {
namespace {

class JournalFileTest : public ::testing::TestWithParam<bool> {
 protected:
  ~JournalFileTest() override { unlink(path_.c_str()); }

  std::string Read(int64_t at, size_t size) const {
    std::string bytes(size, '?');
    std::ifstream file(path_, std::ios::binary);
    file.seekg(at);
    file.read(bytes.data(), static_cast<std::streamsize>(size));
    return bytes;
  }

  const std::string path_ = absl::StrCat(::testing::TempDir(), "/journal-file-test-", getpid());
};

TEST_P(JournalFileTest, AppendsBeginAtSectors) {
  JournalFile journal(path_, /*may_be_direct=*/GetParam());
  const std::string first(700, 'a');
  const std::string second(20, 'b');
  journal.AppendAndSync(first);
  journal.AppendAndSync(second);
  EXPECT_EQ(Read(0, 1024 + 512),
            first + std::string(1024 - 700, '\0') + second + std::string(512 - 20, '\0'));
  EXPECT_EQ(journal.syncs(), 2);
}

TEST_P(JournalFileTest, BeginsAnewBehindItsEnd) {
  JournalFile journal(path_, GetParam());
  journal.AppendAndSync(std::string(JournalFile::kFileBytes - 512, 'a'));
  journal.AppendAndSync("last");
  journal.AppendAndSync("first");
  EXPECT_EQ(Read(JournalFile::kFileBytes - 512, 4), "last");
  EXPECT_EQ(Read(0, 5), "first");
}

INSTANTIATE_TEST_SUITE_P(BothWays, JournalFileTest, ::testing::Bool());

TEST_F(JournalFileTest, IsDirectWhereThatIsTaken) {
  JournalFile journal(path_);
  journal.AppendAndSync("one");
  const int fd = open(path_.c_str(), O_WRONLY | O_DIRECT);
  EXPECT_EQ(journal.is_direct(), fd >= 0);
  if (fd >= 0) close(fd);
  EXPECT_FALSE(JournalFile(path_, /*may_be_direct=*/false).is_direct());
}

}  // namespace
}  // namespace tidemark::bench
