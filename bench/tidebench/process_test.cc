// The program against a real server: what it prints, and how it ends.
//
// TIDEMARK_BIN names the server's binary.
#include <stdio.h>
#include <sys/wait.h>

#include <array>
#include <cstdlib>
#include <string>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "src/base/check.h"
#include "tests/process/server_process.h"

namespace tidemark::bench {
namespace {

struct Ended {
  int status = -1;
  std::string output;
};

Ended RunTidebench(const std::string& arguments) {
  FILE* pipe = popen(
      absl::StrCat(TIDEBENCH_BIN, " ", arguments, " --seconds 0.2 --warm-up 0.05 2>&1").c_str(),
      "r");
  CHECK(pipe != nullptr);
  Ended ended;
  std::array<char, 4096> buffer;
  size_t size = 0;
  while ((size = fread(buffer.data(), 1, buffer.size(), pipe)) > 0) {
    ended.output.append(buffer.data(), size);
  }
  ended.status = WEXITSTATUS(pclose(pipe));
  return ended;
}

class TidebenchProcessTest : public ::testing::Test {
 protected:
  process::ServerProcess& Start(bool auto_tls = false) {
    const char* binary = std::getenv("TIDEMARK_BIN");
    CHECK_MSG(binary != nullptr, "TIDEMARK_BIN is not set");
    directory_ = process::MakeTestDirectory("tidebench");
    server_ = std::make_unique<process::ServerProcess>(process::ServerOptions{
        .binary = binary, .directory = directory_ + "/server", .auto_tls = auto_tls});
    server_->Start();
    CHECK(server_->WaitReady());
    return *server_;
  }
  void TearDown() override {
    server_.reset();
    if (!HasFailure()) process::RemoveTree(directory_);
  }

 private:
  std::string directory_;
  std::unique_ptr<process::ServerProcess> server_;
};

TEST_F(TidebenchProcessTest, SaysWhatItMeasuredAsJson) {
  const auto& server = Start();
  for (const char* workload :
       {"put", "update-Txn --rate 500", "list-stream", "watch --rate 500 --watchers 10",
        "lease-keep-alive", "k8s-100k --scale 0.002 --compact-every 0.1 --check-every 0.5"}) {
    const Ended ended = RunTidebench(absl::StrCat(workload, " --endpoint ", server.endpoint(),
                                                  " --clients 8 --keys 200", " --server-pid ",
                                                  server.pid(), " --json -"));
    ASSERT_EQ(ended.status, 0) << workload << ": " << ended.output;
    const auto result = nlohmann::json::parse(ended.output);
    EXPECT_GT(result["requests_per_s"], 0) << workload;
    EXPECT_GT(result["server"]["cpu_us_per_request"], 0) << workload;
    EXPECT_GT(result["server"]["rss_bytes"], 1'000'000) << workload;
    EXPECT_GT(result["activities"][0]["latency_us"]["p99"], 0) << workload;
    for (const auto& activity : result["activities"]) {
      EXPECT_EQ(activity["due"], activity["done"].get<int>() + activity["never_sent"].get<int>() +
                                     activity["never_answered"].get<int>())
          << workload << ": " << activity["name"];
      if (activity["name"] == "cache checks") {
        EXPECT_GT(activity["done"], 0);
      }
    }
    if (std::string(workload).starts_with("k8s")) {
      EXPECT_GT(result["compactions_done"], 0);
    }
  }
}

TEST_F(TidebenchProcessTest, SpeaksTls) {
  const auto& server = Start(/*auto_tls=*/true);
  const std::string get = absl::StrCat("get --keys 10 --endpoint https://", server.endpoint());
  const std::string trust =
      absl::StrCat(" --cacert ", server.data_directory(), "/fixtures/client/cert.pem");
  const Ended trusted = RunTidebench(get + trust);
  EXPECT_EQ(trusted.status, 0) << trusted.output;
  EXPECT_NE(trusted.output.find("answers"), std::string::npos) << trusted.output;
  const Ended distrusted = RunTidebench(get);
  EXPECT_EQ(distrusted.status, 1) << distrusted.output;
}

TEST_F(TidebenchProcessTest, AFailedRequestEndsItWithStatusOne) {
  const auto& server = Start();
  const Ended largest = RunTidebench(
      absl::StrCat("put --keys 1 --value-bytes 1400000 --endpoint ", server.endpoint()));
  EXPECT_EQ(largest.status, 0) << largest.output;
  const Ended unserved = RunTidebench(absl::StrCat("echo --keys 1 --endpoint ", server.endpoint()));
  EXPECT_EQ(unserved.status, 1);
  EXPECT_NE(unserved.output.find("error: UNIMPLEMENTED"), std::string::npos) << unserved.output;
  EXPECT_EQ(RunTidebench("put --endpoint 127.0.0.1:1").status, 1);
}

}  // namespace
}  // namespace tidemark::bench
