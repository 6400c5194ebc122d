// Measures Tidemark beside etcd: starts both, loads them in turns, prints Markdown tables.
//
// Both run in every round, from empty directories and with the same flags; only one is loaded at a
// time, and who goes first changes from case to case. The idle one costs well below 1% of a core.

#include <signal.h>
#include <sys/wait.h>

#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "bench/load/caller.h"
#include "bench/load/closed_loop.h"
#include "bench/load/report.h"
#include "tests/process/server_process.h"

namespace tidemark::load {
namespace {

constexpr int64_t kConnections = 8;

struct Settings {
  std::string tidemark;
  std::string etcd;
  int64_t rounds = 3;
  int64_t seconds = 5;
  int64_t warm_up_seconds = 1;
  int64_t keys = 10'000;
  std::vector<std::string> workloads = {"put", "get", "update-Txn"};
  std::vector<int64_t> clients = {1, 64};
};

// A server with its data, for one round.
struct Loaded {
  Loaded(Contender who, const std::string& binary, const std::string& directory, int64_t keys)
      : contender(who),
        server({.binary = binary, .directory = absl::StrCat(directory, "/", Name(who))}),
        dataset(keys) {}

  absl::Status Start() {
    server.Start();
    if (!server.WaitReady()) {
      return absl::UnavailableError(absl::StrCat("it does not start; see ", server.log_path()));
    }
    return dataset.Fill(server.Connect());
  }

  Contender contender;
  process::ServerProcess server;
  Dataset dataset;
};

std::vector<Case> Cases(const Settings& settings) {
  std::vector<Case> cases;
  for (Workload workload : {Workload::kPut, Workload::kGet, Workload::kUpdate}) {
    for (const std::string& wanted : settings.workloads) {
      if (wanted != Name(workload)) continue;
      for (int64_t callers : settings.clients) cases.push_back({workload, callers});
    }
  }
  return cases;
}

absl::Status Annotated(const absl::Status& status, Contender contender, const std::string& what) {
  return absl::Status(status.code(),
                      absl::StrCat(Name(contender), ", ", what, ": ", status.message()));
}

absl::Status Measure(const Settings& settings, const Case& measured, Loaded* loaded,
                     Results* results) {
  std::string what = absl::StrCat(Name(measured.workload), " with ", measured.callers);
  LoopOptions options = {.callers = measured.callers,
                         .connections = std::min(measured.callers, kConnections),
                         .warm_up = absl::Seconds(settings.warm_up_seconds),
                         .duration = absl::Seconds(settings.seconds)};
  auto result = RunClosedLoop(loaded->server, measured.workload, options, &loaded->dataset);
  if (!result.ok()) return Annotated(result.status(), loaded->contender, what);
  std::cerr << "  " << Name(loaded->contender) << ", " << what << ": " << result->server_cpu_us
            << " us of CPU, " << result->requests_per_s << "/s, p50 " << result->p50_us
            << " us, p99 " << result->p99_us << " us; cores: server " << result->server_cores
            << ", client " << result->client_cores << ", others " << result->other_cores << "\n";
  (*results)[{measured, loaded->contender}].push_back(*result);
  return absl::OkStatus();
}

absl::Status RunRound(const Settings& settings, const std::string& directory, int64_t round,
                      Results* results) {
  std::vector<std::unique_ptr<Loaded>> servers;
  for (Contender contender : {Contender::kTidemark, Contender::kEtcd}) {
    const std::string& binary =
        contender == Contender::kTidemark ? settings.tidemark : settings.etcd;
    if (binary.empty()) continue;
    servers.push_back(std::make_unique<Loaded>(contender, binary, directory, settings.keys));
    absl::Status status = servers.back()->Start();
    if (!status.ok()) return Annotated(status, contender, "start and fill");
  }
  size_t first = round;
  for (const Case& measured : Cases(settings)) {
    for (size_t i = 0; i < servers.size(); ++i) {
      absl::Status status =
          Measure(settings, measured, servers[(first + i) % servers.size()].get(), results);
      if (!status.ok()) return status;
    }
    ++first;
  }
  for (auto& loaded : servers) {
    // etcd ends by the signal itself, after an orderly stop.
    const int ended = loaded->server.Stop();
    if (ended != 0 && !(WIFSIGNALED(ended) && WTERMSIG(ended) == SIGTERM)) {
      return Annotated(absl::InternalError("SIGTERM did not end it cleanly"), loaded->contender,
                       "stop");
    }
  }
  return absl::OkStatus();
}

absl::Status Run(const Settings& settings) {
  Results results;
  for (int64_t round = 0; round < settings.rounds; ++round) {
    std::cerr << "Round " << round + 1 << " of " << settings.rounds << "\n";
    std::string directory = process::MakeTestDirectory("load");
    absl::Status status = RunRound(settings, directory, round, &results);
    if (!status.ok()) return status;  // data and logs stay, to be looked at
    process::RemoveTree(directory);
  }
  std::cout << MarkdownReport(results);
  return absl::OkStatus();
}

}  // namespace
}  // namespace tidemark::load

int main(int argc, char** argv) {
  tidemark::load::Settings settings;
  CLI::App app("Loads Tidemark and etcd in turns and prints Markdown tables");
  app.add_option("--tidemark", settings.tidemark, "its binary");
  app.add_option("--etcd", settings.etcd, "its binary");
  app.add_option("--rounds", settings.rounds)->check(CLI::PositiveNumber);
  app.add_option("--seconds", settings.seconds, "measured for each case")
      ->check(CLI::PositiveNumber);
  app.add_option("--warm-up", settings.warm_up_seconds, "seconds before")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--keys", settings.keys)->check(CLI::Range(1'000, 1'000'000));
  app.add_option("--workloads", settings.workloads)
      ->delimiter(',')
      ->check(CLI::IsMember({"put", "get", "update-Txn"}));
  app.add_option("--clients", settings.clients, "how many calls are outstanding")
      ->delimiter(',')
      ->check(CLI::Range(1, 1'000));
  CLI11_PARSE(app, argc, argv);
  absl::Status status = tidemark::load::Run(settings);
  if (status.ok()) return 0;
  std::cerr << "error: " << status.message() << "\n";
  return 1;
}
