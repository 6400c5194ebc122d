#include "src/journal/data_directory.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "absl/strings/match.h"
#include "gtest/gtest.h"
#include "src/base/posix_file_system.h"
#include "src/base/posix_random.h"

namespace tidemark::journal {
namespace {

// On a real disk: what is tested is what an operator meets.
class DataDirectoryTest : public ::testing::Test {
 protected:
  DataDirectoryTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "journal-XXXXXX").string();
    base_ = ::mkdtemp(pattern.data());
  }
  ~DataDirectoryTest() override { std::filesystem::remove_all(base_); }

  absl::StatusOr<std::unique_ptr<DataDirectory>> Open(const std::string& name = "journal") {
    return DataDirectory::Open(file_system_, base_ + "/" + name, random_);
  }

  PosixFileSystem file_system_;
  PosixRandom random_;
  std::string base_;
};

TEST_F(DataDirectoryTest, KeepsItsIdentityTermAndState) {
  StoreId store;
  {
    auto directory = Open();
    ASSERT_TRUE(directory.ok()) << directory.status();
    store = (*directory)->store();
    EXPECT_FALSE((*directory)->LoadTerm()->has_value());
    EXPECT_FALSE((*directory)->LoadSnapshot()->has_value());
    EXPECT_TRUE((*directory)->LoadHistory()->starts().empty());
    ASSERT_TRUE((*directory)->StoreTerm(Term(3)).ok());
    History history;
    history.Add({7, Term(3), {Position(8), Revision(9)}});
    ASSERT_TRUE((*directory)->StoreHistory(history).ok());
    ASSERT_TRUE((*directory)->StoreSnapshot({Position(8), "state"}).ok());
  }
  auto directory = Open();
  ASSERT_TRUE(directory.ok()) << directory.status();
  EXPECT_EQ((*directory)->store(), store);
  EXPECT_EQ(**(*directory)->LoadTerm(), Term(3));
  EXPECT_EQ((*directory)->LoadHistory()->newest_id(), 7u);
  EXPECT_EQ((**(*directory)->LoadSnapshot()).position, Position(8));
  EXPECT_EQ((**(*directory)->LoadSnapshot()).state, "state");
}

TEST_F(DataDirectoryTest, ASecondOwnerIsRefusedInWords) {
  auto first = Open();
  ASSERT_TRUE(first.ok());
  auto second = Open();
  EXPECT_TRUE(absl::IsFailedPrecondition(second.status()));
  EXPECT_TRUE(absl::StrContains(second.status().message(), "in use by another process"));
  first->reset();
  EXPECT_TRUE(Open().ok());
}

TEST_F(DataDirectoryTest, AJournalMadeForAnotherIsRefusedInWords) {
  {
    auto directory = Open();
    ASSERT_TRUE(directory.ok());
    EXPECT_FALSE((*directory)->LoadOwner()->has_value());  // made before anybody asked
    EXPECT_TRUE((*directory)->ClaimFor("member a").ok());
    EXPECT_TRUE((*directory)->ClaimFor("member a").ok());
  }
  auto directory = Open();
  ASSERT_TRUE(directory.ok());
  EXPECT_EQ(**(*directory)->LoadOwner(), "member a");
  const absl::Status refused = (*directory)->ClaimFor("member b");
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  for (const char* word : {"member a", "member b", "Restore", "/journal/owner"}) {
    EXPECT_TRUE(absl::StrContains(refused.message(), word)) << refused;
  }
  EXPECT_EQ(**(*directory)->LoadOwner(), "member a");
  std::filesystem::resize_file(base_ + "/journal/owner", 10);
  EXPECT_TRUE(absl::IsDataLoss((*directory)->ClaimFor("member a")));
}

TEST_F(DataDirectoryTest, ADirectoryOfSomethingElseIsRefused) {
  std::filesystem::create_directory(base_ + "/photos");
  std::ofstream(base_ + "/photos/cat.jpg") << "meow";
  auto directory = Open("photos");
  EXPECT_TRUE(absl::IsFailedPrecondition(directory.status()));
  EXPECT_TRUE(absl::StrContains(directory.status().message(), "cat.jpg")) << directory.status();
}

TEST_F(DataDirectoryTest, AFileInItsPlaceIsRefusedInWords) {
  std::ofstream(base_ + "/journal") << "a file";
  auto directory = Open();
  ASSERT_FALSE(directory.ok());
  EXPECT_TRUE(absl::StrContains(directory.status().message(), base_ + "/journal"))
      << directory.status();
}

TEST_F(DataDirectoryTest, AReadOnlyDirectoryIsRefusedInWords) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may write everywhere";
  std::filesystem::create_directory(base_ + "/journal");
  ::chmod((base_ + "/journal").c_str(), 0500);
  auto directory = Open();
  EXPECT_TRUE(absl::IsPermissionDenied(directory.status())) << directory.status();
}

TEST_F(DataDirectoryTest, LeftOversOfAnInterruptedReplacementAreRemoved) {
  ASSERT_TRUE(Open().ok());
  std::ofstream(base_ + "/journal/term.tmp") << "half";
  ASSERT_TRUE(Open().ok());
  EXPECT_FALSE(std::filesystem::exists(base_ + "/journal/term.tmp"));
}

}  // namespace
}  // namespace tidemark::journal
