// `tidemark inspect` on the machine's own files: arguments, exit codes, both outputs.
#include "src/server/app/inspect_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "src/base/inline_blocking_runner.h"
#include "src/base/posix_clock.h"
#include "src/base/posix_file_system.h"
#include "src/base/posix_random.h"
#include "src/base/thread_executor.h"
#include "src/journal/embedded_journal.h"
#include "src/server/app/identity.h"
#include "src/server/app/memory_dir.h"
#include "src/server/options/startup.h"

namespace tidemark::server {
namespace {

using ::testing::HasSubstr;

class InspectCommandTest : public ::testing::Test {
 protected:
  InspectCommandTest() {
    std::string pattern = ::testing::TempDir() + "/inspectXXXXXX";
    CHECK(mkdtemp(pattern.data()) != nullptr);
    data_dir_ = pattern;
  }
  ~InspectCommandTest() override { std::filesystem::remove_all(data_dir_); }

  InspectOutcome Run(std::vector<std::string> arguments) {
    return RunInspect(arguments, files_, clock_);
  }
  // Open while the returned object lives.
  std::unique_ptr<journal::EmbeddedJournal> OpenJournal() {
    journal::EmbeddedJournalOptions options;
    options.directory = data_dir_ + "/journal";
    options.owner = OwnerText(*ReadIdentity(files_, IdentityPath(data_dir_)));
    options.segment_bytes = 4096;
    options.file_system = &files_;
    options.clock = &clock_;
    options.random = &random_;
    options.executor = &executor_;
    options.runner = &runner_;
    auto journal = journal::EmbeddedJournal::Open(std::move(options));
    EXPECT_TRUE(journal.ok()) << journal.status();
    return *std::move(journal);
  }
  void SetUpDataDir() {
    auto decision = DecideStart(std::vector<std::string>{"--data-dir", data_dir_}, {}, nullptr);
    auto opened = OpenDataDir(files_, std::get<Options>(decision));
    ASSERT_TRUE(opened.ok() && KeepIdentity(files_, data_dir_, opened->identity).ok());
    OpenJournal();
  }

  PosixFileSystem files_;
  PosixClock clock_;
  PosixRandom random_;
  InlineBlockingRunner runner_;
  ThreadExecutor executor_{"journal", clock_};
  std::string data_dir_;
};

TEST_F(InspectCommandTest, UsageIsExplained) {
  EXPECT_EQ(Run({}).code, 2);
  EXPECT_THAT(Run({}).err, HasSubstr("Usage"));
  EXPECT_EQ(Run({"a", "b"}).code, 2);
  EXPECT_EQ(Run({"--jsn", data_dir_}).code, 2);
  EXPECT_EQ(Run({"--help"}).code, 0);
}

TEST_F(InspectCommandTest, AMissingDirectoryCannotBeToldAbout) {
  const InspectOutcome outcome = Run({data_dir_ + "/nothing"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.out, HasSubstr("nothing"));
  EXPECT_FALSE(std::filesystem::exists(data_dir_ + "/nothing"));
}

TEST_F(InspectCommandTest, HealthyThenDamagedThenInUse) {
  SetUpDataDir();
  InspectOutcome outcome = Run({data_dir_ + "/"});
  EXPECT_EQ(outcome.code, 0) << outcome.out;
  EXPECT_THAT(outcome.out, HasSubstr("verdict: healthy"));
  EXPECT_THAT(outcome.out, HasSubstr("8e9e05c52164694d"));  // etcd's member id of default flags
  const auto json = nlohmann::json::parse(Run({"--json", data_dir_}).out);
  EXPECT_EQ(json["verdict"], "healthy");
  EXPECT_EQ(json["parts"]["identity"]["facts"]["member_id"], "8e9e05c52164694d");
  EXPECT_EQ(json["parts"]["journal"]["facts"]["term"], 1);
  {
    auto journal = OpenJournal();
    outcome = Run({data_dir_});
    EXPECT_EQ(outcome.code, 2) << outcome.out;
    EXPECT_THAT(outcome.out, HasSubstr("in use by a running process"));
    EXPECT_EQ(Run({data_dir_, "--while-running"}).code, 0);
  }
  std::ofstream(data_dir_ + "/journal/term", std::ios::app) << "x";
  outcome = Run({data_dir_});
  EXPECT_EQ(outcome.code, 1) << outcome.out;
  EXPECT_THAT(outcome.out, HasSubstr("journal/term is damaged"));
}

TEST_F(InspectCommandTest, AnIdentityOfAnotherNodeIsDamage) {
  SetUpDataDir();
  const std::string other = data_dir_ + "/other";
  auto decision = DecideStart(
      std::vector<std::string>{"--data-dir", other, "--initial-cluster-token", "o"}, {}, nullptr);
  auto opened = OpenDataDir(files_, std::get<Options>(decision));
  ASSERT_TRUE(opened.ok() && KeepIdentity(files_, other, opened->identity).ok());
  std::filesystem::copy_file(IdentityPath(other), IdentityPath(data_dir_),
                             std::filesystem::copy_options::overwrite_existing);
  const InspectOutcome outcome = Run({data_dir_});
  EXPECT_EQ(outcome.code, 1) << outcome.out;
  EXPECT_THAT(outcome.out, HasSubstr("was made by member 8e9e05c52164694d"));
}

TEST_F(InspectCommandTest, CheckpointsAndMemoryAreLookedFor) {
  SetUpDataDir();
  const auto json = nlohmann::json::parse(Run({"--json", data_dir_ + "/"}).out);
  EXPECT_EQ(json["parts"]["checkpoints"]["facts"]["directory"], data_dir_ + "/checkpoints");
  // Where a server with this --data-dir keeps it.
  EXPECT_EQ(json["parts"]["memory"]["facts"]["directory"], MemoryDirOf(data_dir_, ""));
  EXPECT_EQ(MemoryDirOf(data_dir_, ""), MemoryDirOf(data_dir_ + "/", ""));
  EXPECT_NE(MemoryDirOf(data_dir_, ""), MemoryDirOf(data_dir_ + "2", ""));
  EXPECT_THAT(Run({data_dir_, "--memory-dir", data_dir_ + "/m"}).out, HasSubstr(data_dir_ + "/m"));
  EXPECT_THAT(Run({data_dir_, "--memory-dir=" + data_dir_ + "/m"}).out, HasSubstr("is cold"));
  EXPECT_FALSE(std::filesystem::exists(data_dir_ + "/checkpoints"));
  EXPECT_FALSE(std::filesystem::exists(data_dir_ + "/m"));
}

TEST_F(InspectCommandTest, AnEtcdsDirectoryIsNotOurs) {
  std::filesystem::create_directories(data_dir_ + "/member/wal");
  const InspectOutcome outcome = Run({data_dir_});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.out, HasSubstr("etcd member"));
}

}  // namespace
}  // namespace tidemark::server
