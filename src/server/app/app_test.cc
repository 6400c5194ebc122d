// Ids are etcd's (contract 6); listeners follow contract 9.1.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "src/base/posix_file_system.h"
#include "src/server/app/file_limit.h"
#include "src/server/app/identity.h"
#include "src/server/app/listeners.h"
#include "src/server/options/startup.h"

namespace tidemark::server {
namespace {

using ::testing::HasSubstr;

Options MakeOptions(std::vector<std::string> arguments) {
  auto decision = DecideStart(arguments, {}, nullptr);
  CHECK_MSG(std::holds_alternative<Options>(decision), std::get<ExitAtOnce>(decision).err);
  return std::get<Options>(std::move(decision));
}

std::string FreshDirectory() {
  std::string name = ::testing::TempDir() + "/identityXXXXXX";
  CHECK(mkdtemp(name.data()) != nullptr);
  return name;
}

// The ids that a stock etcd prints for its default flags.
TEST(Ids, DefaultMemberAndCluster) {
  uint64_t member = MemberId({"http://localhost:2380"}, "etcd-cluster");
  EXPECT_EQ(absl::StrCat(absl::Hex(member)), "8e9e05c52164694d");
  EXPECT_EQ(absl::StrCat(absl::Hex(ClusterId({member}))), "cdf818194e3a8c32");
}

TEST(Ids, OrderDoesNotMatter) {
  EXPECT_EQ(MemberId({"http://a:1", "http://b:1"}, "t"),
            MemberId({"http://b:1", "http://a:1"}, "t"));
  EXPECT_NE(MemberId({"http://a:1"}, "t"), MemberId({"http://a:1"}, "u"));
  EXPECT_EQ(ClusterId({1, 2}), ClusterId({2, 1}));
}

TEST(DataDir, FreshThenKept) {
  PosixFileSystem files;
  std::string dir = FreshDirectory() + "/data";
  uint64_t member_id = 0;
  {
    auto opened = OpenDataDir(files, MakeOptions({"--data-dir", dir}));
    ASSERT_TRUE(opened.ok()) << opened.status();
    EXPECT_TRUE(opened->fresh);
    member_id = opened->identity.member_id;
    struct stat info {};
    ASSERT_EQ(stat(dir.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0700u);
    // A second process is refused.
    EXPECT_FALSE(OpenDataDir(files, MakeOptions({"--data-dir", dir})).ok());
  }
  {
    // That start failed, and whoever saw that mends the flags.
    auto mended = OpenDataDir(files, MakeOptions({"--data-dir", dir, "--initial-cluster-token=b"}));
    ASSERT_TRUE(mended.ok()) << mended.status();
    EXPECT_TRUE(mended->fresh);
    EXPECT_NE(mended->identity.member_id, member_id);
    member_id = mended->identity.member_id;
    ASSERT_TRUE(KeepIdentity(files, dir, mended->identity).ok());
  }
  // The initial-* flags are ignored now.
  auto again = OpenDataDir(files, MakeOptions({"--data-dir", dir, "--initial-cluster-token=other",
                                               "--initial-cluster=a=http://a:1,b=http://b:1"}));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_FALSE(again->fresh);
  EXPECT_EQ(again->identity.member_id, member_id);
}

TEST(DataDir, ClearRefusals) {
  PosixFileSystem files;
  std::string dir = FreshDirectory();
  std::ofstream(dir + "/identity.json") << R"({"format":99})";
  EXPECT_THAT(std::string(OpenDataDir(files, MakeOptions({"--data-dir", dir})).status().message()),
              HasSubstr("newer Tidemark"));
  std::ofstream(dir + "/identity.json") << "{";
  EXPECT_THAT(std::string(OpenDataDir(files, MakeOptions({"--data-dir", dir})).status().message()),
              HasSubstr("damaged"));
  std::string etcd = FreshDirectory();
  ASSERT_TRUE(files.CreateDirectories(etcd + "/member/wal").ok());
  EXPECT_THAT(std::string(OpenDataDir(files, MakeOptions({"--data-dir", etcd})).status().message()),
              HasSubstr("etcd member's data"));
  std::string several = FreshDirectory() + "/d";
  EXPECT_FALSE(OpenDataDir(files, MakeOptions({"--data-dir", several, "--name=a",
                                               "--initial-advertise-peer-urls=http://a:1",
                                               "--initial-cluster=a=http://a:1,b=http://b:1"}))
                   .ok());
  EXPECT_FALSE(OpenDataDir(files, MakeOptions({"--data-dir", "/proc/nowhere"})).ok());
}

TEST(Listeners, WhoServesWhat) {
  auto both = PlanClientListeners(MakeOptions({}));
  ASSERT_EQ(both.size(), 1u);
  EXPECT_TRUE(both[0].spec.serves_grpc && both[0].spec.serves_http && both[0].spec.plaintext);
  EXPECT_FALSE(both[0].spec.tls.has_value());
  EXPECT_EQ(both[0].traffic, "grpc+http");

  auto apart = PlanClientListeners(MakeOptions({"--listen-client-http-urls=http://127.0.0.1:1"}));
  ASSERT_EQ(apart.size(), 2u);
  EXPECT_EQ(apart[0].traffic, "grpc");
  EXPECT_EQ(apart[1].traffic, "http");

  auto merged = PlanClientListeners(
      MakeOptions({"--listen-client-urls=http://127.0.0.1:5,https://127.0.0.1:5,unix://a:1",
                   "--advertise-client-urls=http://127.0.0.1:5", "--cert-file=c", "--key-file=k"}));
  ASSERT_EQ(merged.size(), 2u);
  EXPECT_TRUE(merged[0].spec.plaintext);
  EXPECT_TRUE(merged[0].spec.tls.has_value());
  EXPECT_EQ(merged[1].spec.address.unix_path, "a:1");

  auto metrics = PlanMetricsListeners(MakeOptions({"--listen-metrics-urls=http://127.0.0.1:9"}));
  ASSERT_EQ(metrics.size(), 1u);
  EXPECT_FALSE(metrics[0].spec.serves_grpc);
  EXPECT_EQ(MakeTransportOptions(MakeOptions({}), 3).max_receive_message_bytes, 2u << 20);
}

TEST(FileLimit, TheStoresFilesComeFirst) {
  EXPECT_EQ(ConnectionsMax(1'048'576), 1'048'576u - 3350);
  EXPECT_EQ(ConnectionsMax(1024), 512u);
}

}  // namespace
}  // namespace tidemark::server
