// A load generator for servers of etcd's v3 API, light enough that the server is what is measured.
//
//   tidebench put --clients 64 --connections 8 --seconds 5 --server-pid $(pidof tidemark)
//   tidebench get --clients 1 --server-pid ...           closed loop: answer, next request
//   tidebench update-Txn --rate 20000 --clients 256 ...  open loop: latency from when it was due
//   tidebench put --endpoint https://127.0.0.1:2379 --cacert ca.pem --json result.json
//
// Every answer is checked (value, revision, success), and a sample of what was written is read back
// in the end; the first wrong or failed answer ends the run with status 1. The summary goes to
// stdout, progress to stderr.

#include <time.h>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "bench/tidebench/interval_log.h"
#include "bench/tidebench/progress.h"
#include "bench/tidebench/report.h"
#include "bench/tidebench/runner.h"
#include "bench/tidebench/wire/client.h"
#include "bench/tidebench/workloads/workload.h"
#include "src/base/check.h"
#include "src/base/thread_urgency.h"

namespace tidemark::bench {
namespace {

struct Settings {
  std::string workload;
  std::string endpoint = "http://127.0.0.1:2379";
  TlsFiles tls;
  WorkloadOptions load;
  std::string arrivals = "even";
  double warm_up_s = 1;
  double seconds = 5;
  int server_pid = 0;
  std::string json_file;
  std::string intervals_file;
  double interval_s = 1;
};

const WorkloadKind& KindOf(const std::string& name) {
  for (const WorkloadKind& kind : WorkloadKinds()) {
    if (kind.name == name) return kind;
  }
  Fatal("a workload that the command line does not know");
}

nlohmann::json ConfigurationJson(const Settings& settings) {
  return {{"workload", settings.workload},
          {"endpoint", settings.endpoint},
          {"clients", settings.load.clients},
          {"connections", settings.load.connections},
          {"keys", settings.load.keys},
          {"value_bytes", settings.load.value_bytes},
          {"rate", settings.load.per_second},
          {"arrivals", settings.arrivals},
          {"warm_up_s", settings.warm_up_s},
          {"seconds", settings.seconds},
          {"compact_every_s", settings.load.compact_every_s},
          {"check_every_s", settings.load.check_every_s},
          {"seed", settings.load.seed}};
}

absl::StatusOr<double> Fill(Workload* workload, Client* client, Progress* progress) {
  const int64_t begin_ns = MonotonicNs();
  const std::unique_ptr<Activity> fill = workload->MakeFill(*client);
  if (fill != nullptr) {
    absl::Status status = Runner(*client).RunToEnd(fill.get(), [&] {
      progress->Show("fill", static_cast<double>(fill->answers()) /
                                 static_cast<double>(workload->fill_requests()));
    });
    if (!status.ok()) return status;
  }
  return static_cast<double>(MonotonicNs() - begin_ns) / 1e9;
}

// How many keys were as they had been written.
absl::StatusOr<int64_t> RunToEnd(Activity* read_back, Client* client, Progress* progress) {
  if (read_back == nullptr) return 0;
  absl::Status status =
      Runner(*client).RunToEnd(read_back, [&] { progress->Show("read back", 1); });
  if (!status.ok()) return status;
  return read_back->answers();
}

absl::StatusOr<Report> Run(const Settings& settings) {
  absl::StatusOr<Endpoint> endpoint = ParseEndpoint(settings.endpoint);
  if (!endpoint.ok()) return endpoint.status();
  // Activities and their calls outlive the connections: see wire/call.h.
  const std::unique_ptr<Workload> workload = KindOf(settings.workload).make(settings.load);
  std::vector<std::unique_ptr<Activity>> activities;
  std::unique_ptr<Activity> read_back;
  auto client = Client::Create({.endpoint = *endpoint, .tls = settings.tls});
  if (!client.ok()) return client.status();
  absl::Status status = (*client)->Connect(workload->connections());
  if (!status.ok()) return status;

  Progress progress;
  Report report{.configuration = ConfigurationJson(settings)};
  absl::StatusOr<double> fill_s = Fill(workload.get(), client->get(), &progress);
  if (!fill_s.ok()) return fill_s.status();
  report.fill_s = *fill_s;

  activities = workload->MakeActivities(**client);
  std::vector<Activity*> borrowed;
  borrowed.reserve(activities.size());
  for (const auto& activity : activities) borrowed.push_back(activity.get());
  std::optional<IntervalLog> intervals;
  if (!settings.intervals_file.empty()) {
    intervals.emplace(settings.intervals_file, settings.interval_s);
  }
  const RunOptions options = {.warm_up_ns = static_cast<int64_t>(settings.warm_up_s * 1e9),
                              .span_ns = static_cast<int64_t>(settings.seconds * 1e9),
                              .server_pid = settings.server_pid,
                              .on_progress = [&](double share) {
                                progress.Show(settings.workload, share);
                                if (!intervals.has_value()) return;
                                intervals->Tick(
                                    borrowed, MonotonicNs(),
                                    static_cast<double>(absl::ToUnixMicros(absl::Now())) / 1e6);
                              }};
  absl::StatusOr<RunResult> result = Runner(**client).Measure(borrowed, options);
  if (!result.ok()) return result.status();
  report.run = *result;
  read_back = workload->MakeReadBack(**client);
  const absl::StatusOr<int64_t> keys = RunToEnd(read_back.get(), client->get(), &progress);
  if (!keys.ok()) return keys.status();
  report.keys_read_back = *keys;
  report.compactions = workload->compactions();
  for (const auto& activity : activities) {
    report.activities.push_back({activity->description(), activity->result()});
  }
  return report;
}

void AddOptions(CLI::App* app, Settings* settings) {
  std::vector<std::string> names;
  std::string workloads = "what to send:\n";
  for (const WorkloadKind& kind : WorkloadKinds()) {
    names.emplace_back(kind.name);
    absl::StrAppend(&workloads, "  ", absl::StrFormat("%-18s", kind.name), kind.description, "\n");
  }
  WorkloadOptions& load = settings->load;
  app->add_option("workload", settings->workload, workloads)
      ->required()
      ->check(CLI::IsMember(names));
  app->add_option("--endpoint", settings->endpoint, "http:// or https://, host and port")
      ->capture_default_str();
  app->add_option("--cacert", settings->tls.ca_file, "whom to trust, instead of the system's");
  auto* cert = app->add_option("--cert", settings->tls.cert_file, "the client's certificate");
  auto* key = app->add_option("--key", settings->tls.key_file, "and its key");
  cert->needs(key);
  app->add_flag("--insecure-skip-tls-verify", settings->tls.skip_verify);
  app->add_option("--clients", load.clients, "requests outstanding, at most")
      ->capture_default_str()
      ->check(CLI::Range(1, 100'000));
  app->add_option("--connections", load.connections,
                  "shared by the clients; 0: a client each, <= 8")
      ->check(CLI::Range(0, 10'000));
  app->add_option("--keys", load.keys, "stored before, instead of the workload's own number")
      ->check(CLI::Range(1, 90'000'000));
  app->add_option("--value-bytes", load.value_bytes, "instead of the workload's own size")
      ->check(CLI::Range(1, 1'400'000));
  app->add_option("--prefix", load.prefix, "of the keys of a workload on pods");
  app->add_option("--watchers", load.watchers)->check(CLI::Range(1, 1'000'000));
  app->add_option("--scale", load.scale, "of k8s-100k")->check(CLI::Range(0.0001, 10.0));
  app->add_option("--event-ttl", load.event_ttl_s, "seconds that events of k8s-100k live")
      ->check(CLI::Range(1, 1'000'000));
  app->add_option(
         "--compact-every", load.compact_every_s,
         "seconds between compactions (k8s-100k: 300, compaction: 1); the first after half "
         "of them")
      ->check(CLI::PositiveNumber);
  app->add_option("--check-every", load.check_every_s,
                  "seconds between whole lists of one resource by one of the six apiservers of "
                  "k8s-100k (300), which take turns; the first after half of a turn")
      ->check(CLI::PositiveNumber);
  app->add_option("--page-keys", load.page_keys)->check(CLI::Range(1, 1'000'000));
  app->add_option("--rate", load.per_second, "requests/s, open loop; 0: closed loop")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 10e6));
  app->add_option("--arrivals", settings->arrivals, "of an open loop: even or poisson")
      ->capture_default_str()
      ->check(CLI::IsMember({"even", "poisson"}));
  app->add_option("--warm-up", settings->warm_up_s, "seconds before what is measured")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  app->add_option("--seconds", settings->seconds, "measured")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app->add_option("--seed", load.seed, "of the choice of keys")->capture_default_str();
  app->add_option("--server-pid", settings->server_pid, "whose CPU, memory and writes to sample");
  app->add_option("--intervals", settings->intervals_file,
                  "where a line of JSON goes for each interval");
  app->add_option("--interval-seconds", settings->interval_s)
      ->capture_default_str()
      ->check(CLI::Range(0.5, 3600.0));
  app->add_option("--json", settings->json_file, "where the result goes; - is stdout");
}

int Main(int argc, char** argv) {
  Settings settings;
  settings.load.connections = 0;
  CLI::App app("Loads a server of etcd's v3 API, checks every answer, and says how fast it was.");
  AddOptions(&app, &settings);
  CLI11_PARSE(app, argc, argv);
  if (settings.load.connections == 0) {
    settings.load.connections = std::min<int64_t>(settings.load.clients, 8);
  }
  settings.load.spacing =
      settings.arrivals == "poisson" ? Arrivals::Spacing::kPoisson : Arrivals::Spacing::kEven;
  settings.load.run = absl::StrCat(time(nullptr));
  AskFor(ThreadUrgency::kServing);  // else its waits for a core would be the server's latencies
  const absl::StatusOr<Report> report = Run(settings);
  if (!report.ok()) {
    std::cerr << "error: " << report.status().ToString() << "\n";
    return 1;
  }
  if (settings.json_file != "-") std::cout << Summary(*report);
  if (settings.json_file == "-") {
    std::cout << ToJson(*report).dump(2) << "\n";
  } else if (!settings.json_file.empty()) {
    std::ofstream file(settings.json_file);
    file << ToJson(*report).dump(2) << "\n";
    if (!file.good()) {
      std::cerr << "error: cannot write " << settings.json_file << "\n";
      return 1;
    }
  }
  return 0;
}

}  // namespace
}  // namespace tidemark::bench

int main(int argc, char** argv) { return tidemark::bench::Main(argc, argv); }
