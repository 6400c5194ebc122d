// Differential test: the same random requests to etcd and to Tidemark, every field of every answer
// compared. Known differences: known_differences.cc, all of them.
//
//   differential_test --etcd PATH --tidemark PATH [--requests N] [--seed S] [--tidemark-flag F]...
//
// Each round opens watches, sends requests to both servers, lets the watches catch up and compares
// what they delivered. On a difference it prints the request, both answers, the seed and the number
// of the request, and exits 1.

#include <google/protobuf/util/message_differencer.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "src/base/check.h"
#include "tests/differential/known_differences.h"
#include "tests/differential/request_generator.h"
#include "tests/differential/server_client.h"
#include "tests/process/server_process.h"

namespace tidemark::differential {
namespace {

struct Options {
  std::string etcd;
  std::string tidemark;
  int64_t requests = 100000;
  uint64_t seed = 1;
  std::vector<std::string> tidemark_flags;
};

Options ParseOptions(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const absl::string_view name = argv[i];
    const std::string value = argv[i + 1];
    if (name == "--etcd")
      options.etcd = value;
    else if (name == "--tidemark")
      options.tidemark = value;
    else if (name == "--requests")
      CHECK(absl::SimpleAtoi(value, &options.requests));
    else if (name == "--seed")
      CHECK(absl::SimpleAtoi(value, &options.seed));
    else if (name == "--tidemark-flag")
      options.tidemark_flags.push_back(value);
    else
      Fatal(absl::StrCat("unknown option ", name));
  }
  CHECK_MSG(!options.etcd.empty() && !options.tidemark.empty(), "--etcd and --tidemark are needed");
  return options;
}

EtcdLine LineOf(const std::string& binary) {
  FILE* pipe = popen(absl::StrCat(binary, " --version").c_str(), "r");
  CHECK(pipe != nullptr);
  char line[200] = "";
  CHECK(fgets(line, sizeof line, pipe) != nullptr);
  pclose(pipe);
  std::printf("reference: %s", line);
  return absl::StartsWith(line, "etcd Version: 3.4") ? EtcdLine::k34 : EtcdLine::k37;
}

std::string Show(const grpc::Status& status) {
  if (status.ok()) return "OK";
  return absl::StrCat("code ", static_cast<int>(status.error_code()), " \"", status.error_message(),
                      "\"");
}

class Driver {
 public:
  Driver(Options options, process::ServerProcess& etcd, process::ServerProcess& tidemark)
      : options_(options),
        line_(LineOf(options.etcd)),
        generator_(options.seed),
        etcd_process_(etcd),
        tidemark_process_(tidemark),
        etcd_(etcd.Connect()),
        tidemark_(tidemark.Connect()) {}

  void Run() {
    while (compared_ < options_.requests) Round();
    ExpiryRound();
  }
  int64_t compared() const { return compared_; }
  int64_t events() const { return events_; }

 private:
  // The lines around the first that differs, none longer than a screen is wide.
  static std::string Excerpt(const std::string& text, const std::string& other) {
    const std::vector<std::string> lines = absl::StrSplit(text, '\n');
    const std::vector<std::string> others = absl::StrSplit(other, '\n');
    size_t differs = 0;
    while (differs < lines.size() && differs < others.size() && lines[differs] == others[differs]) {
      ++differs;
    }
    std::string excerpt;
    for (size_t i = differs > 6 ? differs - 6 : 0; i < std::min(lines.size(), differs + 12); ++i) {
      absl::StrAppend(&excerpt, i == differs ? "> " : "  ", lines[i].substr(0, 300), "\n");
    }
    return excerpt;
  }

  [[noreturn]] void Fail(const std::string& what, const std::string& request,
                         const std::string& etcd, const std::string& tidemark) {
    std::cout << "DIFFERENCE in " << what << " (seed " << options_.seed << ", request " << compared_
              << ")\n--- request\n"
              << request.substr(0, 8000) << "--- etcd\n"
              << Excerpt(etcd, tidemark) << "--- tidemark\n"
              << Excerpt(tidemark, etcd) << std::endl;
    std::_Exit(1);
  }

  void CompareAnswers(const Request& sent, const std::string& request, const Answer& etcd,
                      const Answer& tidemark) {
    ++compared_;
    const bool same_status = SameRefusal(line_, sent, etcd.status, tidemark.status);
    const bool same_response =
        !etcd.status.ok() ||
        google::protobuf::util::MessageDifferencer::Equals(*etcd.response, *tidemark.response);
    if (same_status && same_response) return;
    Fail("an answer", request, absl::StrCat(Show(etcd.status), "\n", etcd.response->DebugString()),
         absl::StrCat(Show(tidemark.status), "\n", tidemark.response->DebugString()));
  }

  // Returns etcd's status, to learn from.
  grpc::Status Both(const Request& request) {
    Answer etcd = etcd_.Call(request);
    Answer tidemark = tidemark_.Call(request);
    Learn(request, etcd);
    if (!Comparable(request, line_)) return etcd.status;
    RemoveKnownDifferences(request, line_, &etcd);
    RemoveKnownDifferences(request, line_, &tidemark);
    const std::string text =
        std::visit([](const auto& r) { return r.GetTypeName() + "\n" + r.DebugString(); }, request);
    CompareAnswers(request, text, etcd, tidemark);
    return etcd.status;
  }

  void Learn(const Request& request, const Answer& answer) {
    if (!answer.status.ok()) return;
    const auto* header = answer.response->GetDescriptor()->FindFieldByName("header");
    const auto& message = static_cast<const etcdserverpb::ResponseHeader&>(
        answer.response->GetReflection()->GetMessage(*answer.response, header));
    revision_ = std::max(revision_, message.revision());
    generator_.LearnRevision(revision_);
    if (const auto* compaction = std::get_if<etcdserverpb::CompactionRequest>(&request)) {
      compacted_ = compaction->revision();
      generator_.LearnCompacted(compacted_);
    }
  }

  void StreamRange() {
    etcdserverpb::RangeRequest request = generator_.NextStreamRange();
    Answer etcd = line_ == EtcdLine::k37 ? etcd_.RangeStream(request) : etcd_.Call(request);
    Answer tidemark = tidemark_.RangeStream(request);
    if (line_ == EtcdLine::k34 && !tidemark.status.ok()) return;  // refused by the stream only
    for (Answer* answer : {&etcd, &tidemark}) {
      RemoveKnownDifferences(request, line_,
                             static_cast<etcdserverpb::RangeResponse*>(answer->response.get()));
    }
    CompareAnswers(request, "RangeStream\n" + request.DebugString(), etcd, tidemark);
  }

  void Round() {
    WatchSession etcd_watches(etcd_process_.Connect());
    WatchSession tidemark_watches(tidemark_process_.Connect());
    int64_t furthest = 0;
    const int64_t length = generator_.Draw(50, 600);
    std::vector<std::string> creates;
    for (int64_t i = 0; i < length; ++i) {
      if (generator_.Chance(3)) OpenWatch(etcd_watches, tidemark_watches, &furthest, &creates);
      if (generator_.Chance(1)) {
        const int64_t id = generator_.Draw(0, 12);
        Settle(etcd_watches, tidemark_watches, furthest, creates);
        etcd_watches.Cancel(id);
        tidemark_watches.Cancel(id);
      }
      if (generator_.Chance(4)) {
        StreamRange();
        continue;
      }
      const Request request = generator_.Next();
      // Whether a watch that is still catching up survives a compaction is a matter of timing.
      if (std::holds_alternative<etcdserverpb::CompactionRequest>(request)) {
        Settle(etcd_watches, tidemark_watches, furthest, creates);
      }
      Both(request);
    }
    Settle(etcd_watches, tidemark_watches, furthest, creates);
    CompareWatches(etcd_watches, tidemark_watches, creates);
  }

  void OpenWatch(WatchSession& etcd_watches, WatchSession& tidemark_watches, int64_t* furthest,
                 std::vector<std::string>* creates) {
    etcdserverpb::WatchCreateRequest create = generator_.NextWatch();
    if (create.start_revision() > 0 && create.start_revision() < compacted_) {
      CompactedWatch(create);
      return;
    }
    *furthest = std::max(*furthest, create.start_revision());
    etcdserverpb::WatchResponse etcd = etcd_watches.Create(create);
    etcdserverpb::WatchResponse tidemark = tidemark_watches.Create(create);
    ++compared_;
    RemoveKnownDifferences(line_, &etcd);
    RemoveKnownDifferences(line_, &tidemark);
    creates->push_back(absl::StrCat(etcd.watch_id(), " <- ", create.ShortDebugString(), "\n"));
    if (google::protobuf::util::MessageDifferencer::Equals(etcd, tidemark)) return;
    Fail("a watch create", create.DebugString(), etcd.DebugString(), tidemark.DebugString());
  }

  // On streams of its own: etcd 3.7.3 answers no progress request on a stream any more once a watch
  // of it was cancelled by compaction (the stream keeps counting it as not synced).
  void CompactedWatch(const etcdserverpb::WatchCreateRequest& create) {
    std::string texts[2];
    for (int i = 0; i < 2; ++i) {
      WatchSession session((i == 0 ? etcd_process_ : tidemark_process_).Connect());
      session.Create(create);
      session.AwaitNoWatches(absl::Seconds(20));
      for (auto& [id, record] : session.Take()) texts[i] += absl::StrCat(id, "\n", Render(record));
    }
    ++compared_;
    if (texts[0] != texts[1]) Fail("a compacted watch", create.DebugString(), texts[0], texts[1]);
  }

  // Writes until no watch starts in the future, then waits until both streams show everything.
  void Settle(WatchSession& etcd_watches, WatchSession& tidemark_watches, int64_t furthest,
              const std::vector<std::string>& creates) {
    while (revision_ <= furthest) {
      etcdserverpb::PutRequest put;
      put.set_key("settle");
      Both(put);
    }
    if (etcd_watches.live_watches() == 0) return;
    if (!etcd_watches.AwaitProgress(revision_, absl::Seconds(20))) {
      Fail("etcd's progress", Context(creates), absl::StrCat("no answer at ", revision_, "\n"), "");
    }
    if (!tidemark_watches.AwaitProgress(revision_, absl::Seconds(20))) {
      Fail("progress", Context(creates), absl::StrCat("answered at ", revision_, "\n"),
           absl::StrCat("no answer in 20 s; log ", tidemark_process_.log_path(), "\n"));
    }
  }

  void CompareWatches(WatchSession& etcd_watches, WatchSession& tidemark_watches,
                      const std::vector<std::string>& creates) {
    auto etcd = etcd_watches.Take();
    auto tidemark = tidemark_watches.Take();
    const std::string context = Context(creates);
    for (auto& [id, record] : etcd) {
      WatchRecord& other = tidemark[id];
      events_ += record.events.size();
      const std::string mine = Render(record);
      const std::string theirs = Render(other);
      if (mine != theirs) {
        Fail(absl::StrCat("watch ", id), context, mine, theirs);
      }
      if (other.split_revisions != 0) {
        Fail(absl::StrCat("watch ", id, ": a revision came in two responses"), context, "", theirs);
      }
    }
    if (etcd.size() != tidemark.size()) Fail("the set of watches", context, "", "");
  }

  static std::string Context(const std::vector<std::string>& creates) {
    std::string context;
    for (const std::string& create : creates) context += create;
    return context;
  }

  std::string Render(WatchRecord& record) {
    std::string text;
    for (etcdserverpb::WatchResponse& response : record.control) {
      RemoveKnownDifferences(line_, &response);
      if (response.canceled() && !response.created()) response.clear_header();
      absl::StrAppend(&text, response.ShortDebugString(), "\n");
    }
    for (const mvccpb::Event& event : record.events) {
      absl::StrAppend(&text, event.ShortDebugString(), "\n");
    }
    return text;
  }

  // A lease with the shortest TTL takes its keys, of several partitions, with it: one revision,
  // deletes in key order.
  void ExpiryRound() {
    WatchSession etcd_watches(etcd_process_.Connect());
    WatchSession tidemark_watches(tidemark_process_.Connect());
    int64_t furthest = 0;
    std::vector<std::string> creates;
    etcdserverpb::WatchCreateRequest all;
    all.set_key(std::string(1, '\0'));
    all.set_range_end(std::string(1, '\0'));
    all.set_prev_kv(true);
    etcd_watches.Create(all);
    tidemark_watches.Create(all);
    etcdserverpb::LeaseGrantRequest grant;
    grant.set_id(77);
    grant.set_ttl(1);
    Both(grant);
    for (const char* key : {"/registry/pods/x", "b", "/registry/events/y", "/registry/minions/z"}) {
      etcdserverpb::PutRequest put;
      put.set_key(key);
      put.set_lease(77);
      Both(put);
    }
    const int64_t expired = revision_ + 1;
    for (ServerClient* client : {&etcd_, &tidemark_}) {
      const absl::Time deadline = absl::Now() + absl::Seconds(20);
      while (client->CurrentRevision() < expired && absl::Now() < deadline) {
        absl::SleepFor(absl::Milliseconds(50));
      }
    }
    Both(etcdserverpb::LeaseLeasesRequest());
    Settle(etcd_watches, tidemark_watches, furthest, creates);
    CompareWatches(etcd_watches, tidemark_watches, creates);
  }

  Options options_;
  EtcdLine line_;
  RequestGenerator generator_;
  process::ServerProcess& etcd_process_;
  process::ServerProcess& tidemark_process_;
  ServerClient etcd_;
  ServerClient tidemark_;
  int64_t revision_ = 1;
  int64_t compacted_ = -1;
  int64_t compared_ = 0;
  int64_t events_ = 0;
};

int Main(int argc, char** argv) {
  Options options = ParseOptions(argc, argv);
  const std::string directory = process::MakeTestDirectory("differential");
  process::ServerOptions etcd_options{.binary = options.etcd, .directory = directory + "/etcd"};
  // The reference's durability is not what is tested here.
  if (LineOf(options.etcd) == EtcdLine::k37) etcd_options.extra_flags = {"--unsafe-no-fsync"};
  process::ServerOptions tidemark_options{.binary = options.tidemark,
                                          .directory = directory + "/tidemark",
                                          .extra_flags = options.tidemark_flags};
  process::ServerProcess etcd(etcd_options);
  process::ServerProcess tidemark(tidemark_options);
  etcd.Start();
  tidemark.Start();
  CHECK_MSG(etcd.WaitReady(), etcd.log_path());
  CHECK_MSG(tidemark.WaitReady(), tidemark.log_path());
  const absl::Time start = absl::Now();
  Driver driver(options, etcd, tidemark);
  driver.Run();
  std::printf("differential: %lld answers and %lld watch events equal in %.0f s (seed %llu)\n",
              static_cast<long long>(driver.compared()), static_cast<long long>(driver.events()),
              absl::ToDoubleSeconds(absl::Now() - start),
              static_cast<unsigned long long>(options.seed));
  etcd.Kill();
  tidemark.Kill();
  process::RemoveTree(directory);
  return 0;
}

}  // namespace
}  // namespace tidemark::differential

int main(int argc, char** argv) { return tidemark::differential::Main(argc, argv); }
