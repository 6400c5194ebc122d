// The tidemark server: decides how to start, runs a Node until a signal says stop.
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <sstream>
#include <stop_token>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "src/base/check.h"
#include "src/base/failpoint.h"
#include "src/base/log.h"
#include "src/base/posix_clock.h"
#include "src/base/posix_file_system.h"
#include "src/server/app/file_limit.h"
#include "src/server/app/inspect_command.h"
#include "src/server/app/node.h"
#include "src/server/observability/json_log_sink.h"
#include "src/server/options/startup.h"
#include "src/server/options/version.h"

extern char** environ;

namespace tidemark::server {
namespace {

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream content;
  if (!in || !(content << in.rdbuf())) {
    return absl::NotFoundError(absl::StrCat("cannot read ", path));
  }
  return content.str();
}

LogLevel LevelOf(const std::string& name) {
  if (name == "debug") return LogLevel::kDebug;
  if (name == "info") return LogLevel::kInfo;
  if (name == "warn") return LogLevel::kWarn;
  return LogLevel::kError;
}

// Every value that was given, and those that tools look for.
void LogConfiguration(const Options& options) {
  std::string given =
      absl::StrJoin(options.flags.values(), " ", [](std::string* out, const auto& item) {
        bool secret = item.first == "discovery-password";
        absl::StrAppend(out, "--", item.first, "=", secret ? "..." : item.second);
      });
  TLOG(kInfo, "starting Tidemark",
       {{"etcd-version", kEtcdVersion},
        {"tidemark-version", kTidemarkVersion},
        {"name", options.name},
        {"data-dir", options.data_dir},
        {"listen-client-urls", JoinUrls(options.listen_client_urls)},
        {"advertise-client-urls", JoinUrls(options.advertise_client_urls)},
        {"listen-metrics-urls", JoinUrls(options.listen_metrics_urls)},
        {"initial-cluster-token", options.initial_cluster_token},
        {"quota-backend-bytes", options.quota_bytes},
        {"max-request-bytes", options.max_request_bytes},
        {"auto-compaction-mode", options.flags.Get("auto-compaction-mode")},
        {"auto-compaction-retention", options.flags.Get("auto-compaction-retention")},
        {"snapshot-catchup-entries",
         ParseGoInt(options.flags.Get("snapshot-catchup-entries")).value_or(0)},
        {"v2-deprecation", "write-only"},
        {"flags", given}});
  for (const std::string& warning : options.warnings) {
    LogAt(LogLevel::kWarn, __FILE__, __LINE__, warning);
  }
}

// The signals that end the server, taken by the main thread alone.
sigset_t BlockStopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  return signals;
}

int Fail(absl::string_view what, const absl::Status& status) {
  TLOG(kError, what, {{"error", status.message()}});
  std::fprintf(stderr, "tidemark: %s\n",
               std::string(status.message().data(), status.message().size()).c_str());
  return 1;
}

JsonLogSink* last_words = nullptr;

// Why the process ends is in the log, too, wherever that goes.
void LogAndAbort(absl::string_view message) {
  std::fprintf(stderr, "FATAL: %.*s\n", static_cast<int>(message.size()), message.data());
  TLOG(kError, "ending the process", {{"error", message}});
  last_words->Drain();
  std::abort();
}

// A start may read for long before there is anything that could stop in order; until then a signal
// ends the process at once, which the store is built for.
class EndsAtSignal {
 public:
  explicit EndsAtSignal(const sigset_t& signals)
      : thread_([signals](const std::stop_token& over) {
          const timespec tick{0, 2 * 1000 * 1000};
          while (!over.stop_requested()) {
            if (sigtimedwait(&signals, nullptr, &tick) <= 0) continue;
            TLOG(kInfo, "received signal while starting; ending");
            last_words->Drain();
            _exit(0);
          }
        }) {}

 private:
  std::jthread thread_;  // joined within a tick
};

absl::Status StartNode(Node& node, const sigset_t& stop_signals) {
  const EndsAtSignal impatient(stop_signals);
  return node.Start();
}

int RunNode(Options options, const sigset_t& stop_signals) {
  Node node(std::move(options));
  const absl::Status started = StartNode(node, stop_signals);
  if (!started.ok()) return Fail("cannot start", started);
  for (;;) {
    const Node::State state = node.Poll();
    if (state == Node::State::kFailed) return Fail("cannot start the store", node.failure());
    // Clients and probes wait for the next look as long as it starts.
    const timespec tick{0, (state == Node::State::kServing ? 50 : 5) * 1000 * 1000};
    int taken = sigtimedwait(&stop_signals, nullptr, &tick);
    if (taken <= 0) continue;
    TLOG(kInfo, "received signal; shutting down",
         {{"signal", taken == SIGINT ? "interrupt" : "terminated"}});
    node.Stop();
    TLOG(kInfo, "stopped");
    return 0;
  }
}

int Inspect(absl::Span<const std::string> arguments) {
  PosixFileSystem files;
  PosixClock clock;
  const InspectOutcome outcome = RunInspect(arguments.subspan(1), files, clock);
  std::fputs(outcome.out.c_str(), stdout);
  std::fputs(outcome.err.c_str(), stderr);
  return outcome.code;
}

int Run(int argc, char** argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  if (!arguments.empty() && arguments[0] == "inspect") return Inspect(arguments);
  std::vector<std::string> environment;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    environment.emplace_back(*variable);
  }
  std::variant<Options, ExitAtOnce> decision = DecideStart(arguments, environment, ReadFile);
  if (auto* exit = std::get_if<ExitAtOnce>(&decision)) {
    std::fputs(exit->out.c_str(), stdout);
    std::fputs(exit->err.c_str(), stderr);
    return exit->code;
  }
  Options options = std::get<Options>(std::move(decision));

  umask(0077);
  sigset_t stop_signals = BlockStopSignals();
  PosixClock clock;
  absl::StatusOr<std::unique_ptr<JsonLogSink>> sink =
      JsonLogSink::Open({options.log.json, options.log.outputs}, clock);
  if (!sink.ok()) return Fail("cannot log", sink.status());
  SetLogSink(sink->get());
  last_words = sink->get();
  SetFatalHandler(LogAndAbort);
  SetLogLevel(LevelOf(options.log.level));
  failpoint::ArmFromEnvironment();
  if (failpoint::any_armed) TLOG(kWarn, "fail points are armed: this process may be killed", {});
  RaiseFileLimit();
  LogConfiguration(options);
  int code = RunNode(std::move(options), stop_signals);
  SetFatalHandler(nullptr);
  SetLogSink(nullptr);
  return code;
}

}  // namespace
}  // namespace tidemark::server

int main(int argc, char** argv) { return tidemark::server::Run(argc, argv); }
