// How long a server of many keys takes to start again: warm (memory kept) and cold (memory lost).
//
//   restart_time build/release/tidemark --keys 5000000 [--partitions single] [--rounds 3]
//
// Fills one server with keys of 1 KiB in an order that is not theirs, all under /registry/pods/,
// kills it once its checkpoints have caught up, and measures from exec to the first linearizable
// answer, and before it to the first of a partition that has one key only. What the server logged
// is left in restart.log.
#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "proto/rpc.grpc.pb.h"
#include "src/base/check.h"
#include "tests/process/http_get.h"
#include "tests/process/server_process.h"

namespace tidemark {
namespace {

constexpr int64_t kValueBytes = 1024;
constexpr int64_t kPutsPerTxn = 100;
constexpr absl::string_view kSmallKey = "/registry/leases/kube-node-lease/node-1";

struct Settings {
  std::string binary;
  int64_t keys = 1'000'000;
  int64_t rounds = 3;
  int64_t writers = 8;
  std::vector<std::string> flags;
};

std::string KeyOf(int64_t i) {
  return absl::StrFormat("/registry/pods/namespace-%d/deployment-7d9c6b8f5-%09d", i % 97, i);
}

void FillShare(const process::ServerProcess& server, int64_t keys, std::atomic<int64_t>* next) {
  auto kv = etcdserverpb::KV::NewStub(server.Connect());
  const std::string value(kValueBytes, 'v');
  for (int64_t first; (first = next->fetch_add(kPutsPerTxn)) < keys;) {
    etcdserverpb::TxnRequest request;
    for (int64_t i = first; i < std::min(keys, first + kPutsPerTxn); ++i) {
      auto* put = request.add_success()->mutable_request_put();
      put->set_key(KeyOf(i * 7919 % keys));
      put->set_value(value);
    }
    grpc::ClientContext context;
    etcdserverpb::TxnResponse response;
    const grpc::Status status = kv->Txn(&context, request, &response);
    CHECK_MSG(status.ok(), status.error_message());
  }
}

void Fill(const process::ServerProcess& server, const Settings& settings) {
  std::atomic<int64_t> next{0};
  std::vector<std::jthread> writers;
  for (int64_t i = 0; i < settings.writers; ++i) {
    writers.emplace_back([&] { FillShare(server, settings.keys, &next); });
  }
}

// Of a range, linearizable; waits until somebody answers.
int64_t Count(const process::ServerProcess& server, const std::string& key,
              const std::string& range_end) {
  auto kv = etcdserverpb::KV::NewStub(server.Connect());
  etcdserverpb::RangeRequest request;
  request.set_key(key);
  request.set_range_end(range_end);
  request.set_count_only(true);
  for (;;) {
    grpc::ClientContext context;
    context.set_wait_for_ready(true);
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Minutes(10)));
    etcdserverpb::RangeResponse response;
    const grpc::Status status = kv->Range(&context, request, &response);
    if (status.ok()) return response.count();
    // Its partition is not whole yet.
    CHECK_MSG(status.error_code() == grpc::StatusCode::UNAVAILABLE, status.error_message());
  }
}

void PutOne(const process::ServerProcess& server, const std::string& key) {
  auto kv = etcdserverpb::KV::NewStub(server.Connect());
  etcdserverpb::PutRequest request;
  request.set_key(key);
  grpc::ClientContext context;
  context.set_wait_for_ready(true);
  etcdserverpb::PutResponse response;
  const grpc::Status status = kv->Put(&context, request, &response);
  CHECK_MSG(status.ok(), status.error_message());
}

double SecondsSince(absl::Time begin) { return absl::ToDoubleSeconds(absl::Now() - begin); }

// Everything that was written is in checkpoints.
bool CheckpointsCaughtUp(const process::ServerProcess& server, int64_t entries) {
  for (absl::string_view line :
       absl::StrSplit(process::HttpGet(server.endpoint(), "/metrics"), '\n')) {
    double position = 0;
    if (absl::ConsumePrefix(&line, "tidemark_checkpoint_position ") &&
        absl::SimpleAtod(line, &position)) {
      return position >= static_cast<double>(entries);
    }
  }
  return false;
}

void DropFromPageCache(const std::string& directory) {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    if (!entry.is_regular_file()) continue;
    const int fd = ::open(entry.path().c_str(), O_RDONLY | O_CLOEXEC);
    ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    ::close(fd);
  }
}

void Restart(process::ServerProcess& server, const Settings& settings, bool warm) {
  server.Kill();
  if (!warm) {
    process::RemoveTree(server.memory_directory());
    DropFromPageCache(server.data_directory());
  }
  const absl::Time begin = absl::Now();
  server.Start();
  CHECK(Count(server, std::string(kSmallKey), "") == 1);
  const double small = SecondsSince(begin);
  PutOne(server, std::string(kSmallKey));
  const double put = SecondsSince(begin);
  CHECK(Count(server, KeyOf(0), "") == 1);
  const double seconds = SecondsSince(begin);
  const double cpu = absl::ToDoubleSeconds(server.CpuTime());
  CHECK(Count(server, "/registry/pods/", "/registry/pods0") == settings.keys);
  std::cout << absl::StrFormat("%s: %.2f s (a small partition: read %.2f s, put %.2f s), ",
                               warm ? "warm" : "cold", seconds, small, put)
            << absl::StrFormat("%.2f s of CPU\n", cpu) << std::flush;
}

void Run(const Settings& settings) {
  const std::string directory = process::MakeTestDirectory("restart");
  {
    process::ServerOptions options{.binary = settings.binary, .directory = directory};
    options.extra_flags = {"--quota-backend-bytes=-1", "--checkpoint-interval=5s"};
    for (const std::string& flag : settings.flags) options.extra_flags.push_back(flag);
    process::ServerProcess server(options);
    server.Start();
    CHECK(server.WaitReady());
    const absl::Time begin = absl::Now();
    PutOne(server, std::string(kSmallKey));
    Fill(server, settings);
    std::cout << absl::StrFormat("filled %d keys in %.1f s\n", settings.keys,
                                 absl::ToDoubleSeconds(absl::Now() - begin))
              << std::flush;
    while (!CheckpointsCaughtUp(server, settings.keys / kPutsPerTxn)) {
      absl::SleepFor(absl::Milliseconds(200));
    }
    for (bool warm : {true, false}) {
      for (int64_t i = 0; i < settings.rounds; ++i) Restart(server, settings, warm);
    }
    std::filesystem::copy_file(server.log_path(), "restart.log",
                               std::filesystem::copy_options::overwrite_existing);
  }
  process::RemoveTree(directory);
}

}  // namespace
}  // namespace tidemark

int main(int argc, char** argv) {
  tidemark::Settings settings;
  CLI::App app("How long a restart takes");
  app.add_option("binary", settings.binary, "The tidemark binary")->required();
  app.add_option("--keys", settings.keys, "Keys of 1 KiB");
  app.add_option("--rounds", settings.rounds, "Restarts of each kind");
  app.add_option("--flag", settings.flags, "A flag for the server; may be repeated");
  CLI11_PARSE(app, argc, argv);
  tidemark::Run(settings);
}
