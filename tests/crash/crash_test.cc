// Crash test: kill -9 under load, again and again, on a real disk.
//
//   crash_test --server PATH [--cycles N] [--seed S] [--server-flag F]...
//
// Writers keep counters in keys of several partitions, a follower watches everything from revision
// 1. Every cycle kills the server at a random time, or at a fail point, keeps, damages or removes
// its memory on tmpfs, and starts it again: warm, or cold from checkpoints that are made all the
// time. At the end the whole history is read by a new watch and checked:
//   - every acknowledged write is there, once, at its revision, in order (J4, J8);
//   - revisions are dense and never went back (S3);
//   - a transaction over two partitions is there whole or not at all (X3);
//   - the follower saw exactly the history, without a gap or a repeat, with right prev_kv (W1-W9).

#include <cstdio>
#include <iostream>
#include <map>
#include <random>
#include <set>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "src/base/check.h"
#include "tests/crash/follower.h"
#include "tests/crash/memory_damage.h"
#include "tests/crash/writer.h"
#include "tests/process/server_process.h"

namespace tidemark::crash {
namespace {

struct Options {
  std::string server;
  int64_t cycles = 100;
  uint64_t seed = 1;
  std::vector<std::string> server_flags;
};

Options ParseOptions(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const absl::string_view name = argv[i];
    const std::string value = argv[i + 1];
    if (name == "--server")
      options.server = value;
    else if (name == "--cycles")
      CHECK(absl::SimpleAtoi(value, &options.cycles));
    else if (name == "--seed")
      CHECK(absl::SimpleAtoi(value, &options.seed));
    else if (name == "--server-flag")
      options.server_flags.push_back(value);
    else
      Fatal(absl::StrCat("unknown option ", name));
  }
  CHECK_MSG(!options.server.empty(), "--server is needed");
  return options;
}

const char* const kFailPoints[] = {
    "journal.before_write",
    "journal.after_write",
    "journal.before_sync",
    "journal.after_sync",
    "journal.before_ack",
    "kvstore.before_apply",
    "kvstore.after_apply",
    "journal.before_segment_create",
    "journal.after_segment_create",
    "journal.before_segment_remove",
    "journal.before_fill",
    "journal.after_fill",
    "mvcc.map_segment",
    "mvcc.segment_not_listed",
    "mvcc.before_commit_mark",
    "mvcc.before_publish",
    "mvcc.before_removal",
    "checkpoint.before_commit",
    "checkpoint.after_commit",
    "checkpoint.before_ingest",
    "checkpoint.after_ingest",
};

struct KeyState {
  int64_t counter = 0;
  int64_t version = 0;
};

// The history as a list of problems; empty if it is right.
class HistoryCheck {
 public:
  explicit HistoryCheck(const std::vector<SeenEvent>& history) : history_(history) {
    CheckSequence();
    for (const SeenEvent& event : history_) by_key_[event.key].push_back(&event);
  }

  void CheckWriter(const Writer& writer) {
    if (!writer.violation().empty()) Problem(writer.violation());
    const auto& first = by_key_[writer.keys()[0]];
    for (const std::string& key : writer.keys()) {
      const auto& events = by_key_[key];
      if (events.size() != first.size()) {
        Problem(absl::StrCat(key, ": ", events.size(), " changes, ", writer.keys()[0], " has ",
                             first.size()));
        return;
      }
      for (size_t i = 0; i < events.size(); ++i) {
        if (events[i]->revision != first[i]->revision) {
          Problem(absl::StrCat(key, ": half a transaction at revision ", first[i]->revision));
        }
      }
    }
    for (const Acknowledged& ack : writer.acknowledged()) {
      const size_t index = ack.counter - 1;
      if (index >= first.size() || first[index]->counter != ack.counter) {
        Problem(absl::StrCat(writer.keys()[0], ": acknowledged counter ", ack.counter, " is lost"));
      } else if (first[index]->revision != ack.revision) {
        Problem(absl::StrCat(writer.keys()[0], ": counter ", ack.counter, " acknowledged at ",
                             ack.revision, " is at ", first[index]->revision));
      }
    }
  }

  void CheckFollower(const std::vector<SeenEvent>& seen) {
    if (seen.size() != history_.size()) {
      Problem(absl::StrCat("the follower saw ", seen.size(), " events of ", history_.size()));
    }
    for (size_t i = 0; i < std::min(seen.size(), history_.size()); ++i) {
      if (seen[i].revision == history_[i].revision && seen[i].key == history_[i].key &&
          seen[i].counter == history_[i].counter &&
          seen[i].prev_counter == history_[i].prev_counter) {
        continue;
      }
      Problem(absl::StrCat("the follower's event ", i, " is ", seen[i].key, "@", seen[i].revision,
                           ", the history has ", history_[i].key, "@", history_[i].revision));
      return;
    }
  }

  const std::vector<std::string>& problems() const { return problems_; }

 private:
  void CheckSequence() {
    int64_t revision = 1;
    std::map<std::string, KeyState> keys;
    for (const SeenEvent& event : history_) {
      if (event.revision != revision && event.revision != revision + 1) {
        Problem(absl::StrCat("revision ", revision, " is followed by ", event.revision));
      }
      revision = event.revision;
      KeyState& key = keys[event.key];
      if (event.counter != key.counter + 1 || event.version != key.version + 1 ||
          event.prev_counter != key.counter) {
        Problem(absl::StrCat(event.key, "@", event.revision, ": counter ", event.counter,
                             " version ", event.version, " prev ", event.prev_counter,
                             " after counter ", key.counter));
      }
      key = {event.counter, event.version};
    }
  }
  void Problem(std::string text) { problems_.push_back(std::move(text)); }

  const std::vector<SeenEvent>& history_;
  std::map<std::string, std::vector<const SeenEvent*>> by_key_;
  std::vector<std::string> problems_;
};

int64_t CurrentRevision(process::ServerProcess& server) {
  auto stub = etcdserverpb::KV::NewStub(server.Connect());
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(10)));
  etcdserverpb::RangeRequest request;
  request.set_key("no such key");
  etcdserverpb::RangeResponse response;
  grpc::Status status = stub->Range(&context, request, &response);
  CHECK_MSG(status.ok(), status.error_message());
  return response.header().revision();
}

// The server with its memory: what a new life finds is drawn, and how it writes its journal.
struct Victim {
  process::ServerProcess server;
  std::mt19937_64 random;

  void Start() {
    setenv("ETCD_JOURNAL_DIRECT_WRITES", random() % 3 == 0 ? "false" : "true", 1);
    DamageMemory(server.memory_directory(), DrawMemoryFault(random), random);
    server.Start();
  }
  void KillAndRestart() {
    absl::SleepFor(absl::Milliseconds(random() % 250));
    server.Kill();
    Start();
  }
};

std::vector<std::unique_ptr<Writer>> StartWriters(process::ServerProcess& server) {
  std::vector<std::unique_ptr<Writer>> writers;
  auto add = [&](WriteKind kind, std::vector<std::string> keys) {
    writers.push_back(std::make_unique<Writer>(server.Connect(), kind, std::move(keys)));
  };
  add(WriteKind::kPut, {"/registry/pods/ns/put"});
  add(WriteKind::kPut, {"/registry/configmaps/ns/put"});
  add(WriteKind::kUpdateTxn, {"/registry/leases/kube-node-lease/node"});
  add(WriteKind::kUpdateTxn, {"/registry/minions/node"});
  add(WriteKind::kAcrossTxn, {"/registry/pods/ns/across", "/registry/minions/across"});
  add(WriteKind::kAcrossTxn, {"compact", "/registry/events/ns/across"});
  add(WriteKind::kLeasedPut, {"/registry/events/ns/leased"});
  return writers;
}

// Lives that end by a kill at a random time, or by themselves at a fail point. Returns how many
// were of the second kind; the server runs afterwards, is ready and will not end by itself.
int64_t RunCycles(const Options& options, Victim& victim) {
  process::ServerProcess& server = victim.server;
  std::mt19937_64& random = victim.random;
  int64_t revision = 1;
  int64_t fail_point_kills = 0;
  int wait_status = 0;
  for (int64_t cycle = 0; cycle < options.cycles; ++cycle) {
    if (server.HasEnded(&wait_status)) {
      ++fail_point_kills;
      victim.Start();
    } else if (cycle % 3 == 2) {
      server.Kill();
      const char* point = kFailPoints[random() % std::size(kFailPoints)];
      setenv("TIDEMARK_FAILPOINTS", absl::StrCat(point, "=kill@", 1 + random() % 60).c_str(), 1);
      victim.Start();
      unsetenv("TIDEMARK_FAILPOINTS");
      absl::SleepFor(absl::Milliseconds(300));
      continue;
    } else {
      victim.KillAndRestart();
    }
    CHECK_MSG(server.WaitReady(), absl::StrCat("the server does not come back in cycle ", cycle,
                                               "; log: ", server.log_path()));
    const int64_t now = CurrentRevision(server);
    CHECK_MSG(now >= revision, absl::StrCat("revision went back from ", revision, " to ", now));
    revision = now;
  }
  // The last life has no fail point left that could end it while its work is judged.
  server.Kill();
  server.Start();
  CHECK_MSG(server.WaitReady(), server.log_path());
  return fail_point_kills;
}

int Main(int argc, char** argv) {
  const Options options = ParseOptions(argc, argv);
  const std::string directory = process::MakeTestDirectory("crash");
  // Checkpoints and trims every few cycles.
  std::vector<std::string> flags = {"--journal-segment-bytes=1048576",
                                    "--checkpoint-journal-bytes=1048576",
                                    "--checkpoint-interval=1s"};
  flags.insert(flags.end(), options.server_flags.begin(), options.server_flags.end());
  Victim victim{process::ServerProcess(
                    {.binary = options.server, .directory = directory, .extra_flags = flags}),
                std::mt19937_64(options.seed)};
  process::ServerProcess& server = victim.server;
  server.Start();
  CHECK_MSG(server.WaitReady(), server.log_path());
  std::vector<std::unique_ptr<Writer>> writers = StartWriters(server);
  Follower follower(server.Connect());
  const absl::Time start = absl::Now();
  const int64_t fail_point_kills = RunCycles(options, victim);

  int64_t acknowledged = 0;
  for (auto& writer : writers) writer->Stop();
  for (auto& writer : writers) acknowledged += writer->acknowledged_count();
  const int64_t last = CurrentRevision(server);
  const bool caught_up = follower.StopAt(last);
  Follower reader(server.Connect());
  CHECK_MSG(reader.StopAt(last), "the whole history could not be read");

  HistoryCheck check(reader.events());
  for (auto& writer : writers) check.CheckWriter(*writer);
  check.CheckFollower(follower.events());
  for (const std::string& problem : check.problems()) std::printf("PROBLEM: %s\n", problem.c_str());
  std::printf(
      "crash: %lld kills (%lld at fail points), %lld acknowledged writes, %zu events, %lld watch "
      "resumes, %zu problems in %.0f s (seed %llu)\n",
      static_cast<long long>(options.cycles), static_cast<long long>(fail_point_kills),
      static_cast<long long>(acknowledged), reader.events().size(),
      static_cast<long long>(follower.resumed()), check.problems().size(),
      absl::ToDoubleSeconds(absl::Now() - start), static_cast<unsigned long long>(options.seed));
  server.Kill();
  const int64_t warm = CountStarts(server.log_path(), "warm");
  const int64_t cold = CountStarts(server.log_path(), "cold");
  std::printf("crash: partitions started warm %lld times, cold %lld times\n",
              static_cast<long long>(warm), static_cast<long long>(cold));
  // In a few lives chance may leave out one way.
  const bool both_ways =
      options.cycles < 60 || (warm > options.cycles && cold > options.cycles / 4);
  const bool passed =
      check.problems().empty() && caught_up && acknowledged > 10 * options.cycles && both_ways;
  if (!passed) {
    std::printf("FAILED; kept are %s and its memory, %s\n", directory.c_str(),
                server.KeepMemory().c_str());
    return 1;
  }
  process::RemoveTree(directory);
  return 0;
}

}  // namespace
}  // namespace tidemark::crash

int main(int argc, char** argv) { return tidemark::crash::Main(argc, argv); }
