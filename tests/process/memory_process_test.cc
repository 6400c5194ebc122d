// A thousand slow watchers and a thousand slow readers of a big list against a server with a small
// memory budget: it stays inside, refuses clearly, serves everybody else, and recovers.
//
// TIDEMARK_BIN names the binary.
#include <poll.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/rpc.grpc.pb.h"
#include "tests/process/http_get.h"
#include "tests/process/server_process.h"
#include "tests/process/slow_client.h"

namespace tidemark::process {
namespace {

using Call = SlowClient::Call;

constexpr int64_t kMiB = 1 << 20;
constexpr int64_t kBudgetBytes = 256 * kMiB;
// What the process takes beside what is counted: fragments, freed pages that were not given back
// yet, and figures that are estimates.
constexpr int64_t kSlackBytes = 48 * kMiB;
constexpr int kKeys = 10000;
constexpr int kValueBytes = 1100;
constexpr int kWatchers = 1000;
constexpr int kReaders = 1000;
constexpr int kCallsPerConnection = 50;
constexpr int32_t kSlowWindowBytes = 2048;
// Nothing here is about speed: on an idle machine all of it takes a few seconds, on a busy one each
// step may take this long.
constexpr absl::Duration kPatience = absl::Seconds(60);

std::string Key(int i) { return absl::StrCat("/registry/pods/", 100000 + i); }

class MemoryProcessTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* binary = std::getenv("TIDEMARK_BIN");
    if (binary == nullptr) GTEST_SKIP() << "TIDEMARK_BIN is not set";
    ServerOptions options;
    options.binary = binary;
    options.directory = directory_ = MakeTestDirectory("memory");
    options.extra_flags = {absl::StrCat("--memory-budget-bytes=", kBudgetBytes),
                           "--unsafe-no-fsync", "--event-loops=2"};
    // Freed memory goes back to the system at once: how much is held does not depend on time.
    options.environment = {"MALLOC_CONF=dirty_decay_ms:0,muzzy_decay_ms:0"};
    server_ = std::make_unique<ServerProcess>(std::move(options));
    server_->Start();
    ASSERT_TRUE(server_->WaitReady(kPatience));
    channel_ = server_->Connect();
    Fill();
    base_rss_bytes_ = HeapBytes();
  }
  void TearDown() override {
    clients_.clear();
    server_.reset();
    if (!directory_.empty()) RemoveTree(directory_);
  }

  // One key a revision, as Kubernetes writes; a revision's events are never split.
  void Fill() {
    constexpr int kThreads = 8;
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([this, t] {
        etcdserverpb::KV::Stub kv(channel_);
        etcdserverpb::PutRequest put;
        put.set_value(std::string(kValueBytes, 'v'));
        for (int i = t; i < kKeys; i += kThreads) {
          put.set_key(Key(i));
          ASSERT_TRUE(Answers(&etcdserverpb::KV::Stub::Put, kv, put));
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  template <typename Stub, typename Request, typename Response>
  static bool Answers(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                      Stub& stub, const Request& request, absl::Duration limit = kPatience) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + limit));
    Response response;
    const grpc::Status status = (stub.*method)(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return status.ok();
  }

  // Resident memory besides tmpfs and files.
  int64_t HeapBytes() const {
    std::ifstream in(absl::StrCat("/proc/", server_->pid(), "/status"));
    for (std::string line; std::getline(in, line);) {
      if (!absl::StartsWith(line, "RssAnon:")) continue;
      const std::vector<std::string> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
      int64_t kilobytes = 0;
      for (const std::string& word : words) {
        if (absl::SimpleAtoi(word, &kilobytes)) return kilobytes << 10;
      }
    }
    ADD_FAILURE() << "no RssAnon";
    return 0;
  }
  double Metric(const std::string& series) const {
    for (absl::string_view line : absl::StrSplit(HttpGet(server_->endpoint(), "/metrics"), '\n')) {
      double value = 0;
      if (absl::ConsumePrefix(&line, series + " ") && absl::SimpleAtod(line, &value)) return value;
    }
    ADD_FAILURE() << "no " << series;
    return 0;
  }
  double Account(const std::string& name) const {
    return Metric(absl::StrCat("tidemark_memory_budget_bytes{account=\"", name, "\"}"));
  }

  void StartCalls(int count, absl::string_view path, bool half_closes,
                  const std::function<std::string(int)>& message, std::vector<Call*>& calls) {
    for (int i = 0; i < count; ++i) {
      if (i % kCallsPerConnection == 0) {
        clients_.push_back(std::make_unique<SlowClient>(server_->endpoint(), kSlowWindowBytes));
      }
      // A few are looked at more closely.
      calls.push_back(&clients_.back()->Start(path, message(i), half_closes, i % 100 == 0));
    }
  }
  // A list that is read as it comes, again and again until it is served.
  bool ListIsServed(const std::string& message) {
    Call* call = nullptr;
    return PumpUntil(kPatience, [&] {
      if (call != nullptr && !call->closed) return false;
      if (call != nullptr && call->grpc_status == "0") {
        EXPECT_GE(call->received_bytes, size_t{kKeys - 1} * kValueBytes);
        return true;
      }
      clients_.push_back(std::make_unique<SlowClient>(server_->endpoint(), kSlowWindowBytes));
      call = &clients_.back()->Start("/etcdserverpb.KV/Range", message, true, false);
      clients_.back()->ReadAll(*call);
      return false;
    });
  }
  // Until `done`, or time is up.
  bool PumpUntil(absl::Duration limit, const std::function<bool()>& done) {
    const absl::Time deadline = absl::Now() + limit;
    while (absl::Now() < deadline) {
      std::vector<pollfd> fds;
      for (const auto& client : clients_) {
        EXPECT_TRUE(client->Pump()) << "the server closed a connection";
        fds.push_back({client->fd(), POLLIN, 0});
      }
      most_rss_bytes_ = std::max(most_rss_bytes_, HeapBytes());
      if (done()) return true;
      poll(fds.data(), fds.size(), 10);
    }
    return done();
  }

  std::string directory_;
  std::unique_ptr<ServerProcess> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::vector<std::unique_ptr<SlowClient>> clients_;
  int64_t base_rss_bytes_ = 0;
  int64_t most_rss_bytes_ = 0;
};

// Puts, one after another, as long as it lives.
class Writer {
 public:
  explicit Writer(std::shared_ptr<grpc::Channel> channel)
      : kv_(channel), thread_([this] { Run(); }) {}
  ~Writer() { Stop(); }
  void Stop() {
    stopping_ = true;
    if (thread_.joinable()) thread_.join();
  }
  int written() const { return written_; }
  int failed() const { return failed_; }

 private:
  void Run() {
    for (int i = 0; !stopping_; ++i) {
      etcdserverpb::PutRequest put;
      put.set_key(Key(i % kKeys));
      put.set_value(std::string(kValueBytes, 'w'));
      grpc::ClientContext context;
      context.set_deadline(absl::ToChronoTime(absl::Now() + kPatience));
      context.set_wait_for_ready(true);  // on a busy machine to connect takes long
      etcdserverpb::PutResponse response;
      if (kv_.Put(&context, put, &response).ok()) {
        ++written_;
      } else {
        ++failed_;
      }
    }
  }

  etcdserverpb::KV::Stub kv_;
  std::atomic<bool> stopping_{false};
  std::atomic<int> written_{0};
  std::atomic<int> failed_{0};
  std::thread thread_;
};

std::string ListMessage() {
  etcdserverpb::RangeRequest list;
  list.set_key("/registry/pods/");
  list.set_range_end("/registry/pods0");
  return list.SerializeAsString();
}

// Each its own range, so that they share no events; from the beginning of history.
std::string WatchMessage(int i) {
  etcdserverpb::WatchRequest watch;
  watch.mutable_create_request()->set_key(Key(i));
  watch.mutable_create_request()->set_range_end("/registry/pods0");
  watch.mutable_create_request()->set_start_revision(2);
  return watch.SerializeAsString();
}

std::vector<etcdserverpb::WatchResponse> Responses(const Call& call) {
  std::vector<etcdserverpb::WatchResponse> responses;
  absl::string_view rest = call.kept;
  while (rest.size() >= 5) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(rest.data());
    const size_t size =
        size_t{bytes[1]} << 24 | size_t{bytes[2]} << 16 | size_t{bytes[3]} << 8 | bytes[4];
    if (rest.size() < 5 + size) break;
    EXPECT_TRUE(responses.emplace_back().ParseFromArray(rest.data() + 5, static_cast<int>(size)));
    rest.remove_prefix(5 + size);
  }
  return responses;
}

TEST_F(MemoryProcessTest, AThousandSlowWatchersAndReaders) {
  const int64_t traffic_bytes =
      static_cast<int64_t>(Metric("tidemark_memory_budget_share_bytes{account=\"reads\"}") +
                           Metric("tidemark_memory_budget_share_bytes{account=\"watches\"}") +
                           Metric("tidemark_memory_budget_share_bytes{account=\"connections\"}"));
  EXPECT_EQ(Metric("tidemark_memory_budget_limit_bytes"), kBudgetBytes);
  EXPECT_GT(Account("values"), kKeys * kValueBytes);

  std::vector<Call*> watchers;
  StartCalls(kWatchers, "/etcdserverpb.Watch/Watch", false, WatchMessage, watchers);
  ASSERT_TRUE(PumpUntil(kPatience, [&] {
    return std::all_of(watchers.begin(), watchers.end(),
                       [](const Call* call) { return call->received_bytes > 1000; });
  }));
  const size_t reading_clients = clients_.size();
  Writer writer(server_->Connect());
  std::vector<Call*> readers;
  StartCalls(
      kReaders, "/etcdserverpb.KV/Range", true, [](int) { return ListMessage(); }, readers);
  // Each has begun to be served, or was refused.
  ASSERT_TRUE(PumpUntil(kPatience, [&] {
    for (size_t c = reading_clients; c < clients_.size(); ++c) clients_[c]->ReadSome(100);
    return std::all_of(readers.begin(), readers.end(),
                       [](const Call* call) { return call->received_bytes > 0 || call->closed; });
  }));

  // Some were let in; how many of them get everything depends on how soon they read.
  const auto let_in = std::count_if(readers.begin(), readers.end(),
                                    [](const Call* call) { return call->received_bytes > 0; });
  EXPECT_GE(let_in, 3);

  // What keeps the node alive and well gets through.
  etcdserverpb::KV::Stub kv(channel_);
  etcdserverpb::Lease::Stub lease(channel_);
  etcdserverpb::Maintenance::Stub maintenance(channel_);
  etcdserverpb::DeleteRangeRequest erase;
  erase.set_key(Key(kKeys - 1));
  EXPECT_TRUE(Answers(&etcdserverpb::KV::Stub::DeleteRange, kv, erase));
  EXPECT_TRUE(Answers(&etcdserverpb::Maintenance::Stub::Status, maintenance,
                      etcdserverpb::StatusRequest()));
  etcdserverpb::LeaseGrantRequest grant;
  grant.set_id(7);
  grant.set_ttl(100);
  EXPECT_TRUE(Answers(&etcdserverpb::Lease::Stub::LeaseGrant, lease, grant));
  etcdserverpb::RangeRequest few;
  few.set_key("/registry/pods/10000");
  few.set_range_end("/registry/pods/10001");
  EXPECT_TRUE(Answers(&etcdserverpb::KV::Stub::Range, kv, few));
  EXPECT_LE(Account("reads"), Metric("tidemark_memory_budget_share_bytes{account=\"reads\"}"));
  EXPECT_LE(Account("watches"),
            1.25 * Metric("tidemark_memory_budget_share_bytes{account=\"watches\"}"));

  // Now they read: whoever was let in gets all of the same list.
  for (size_t c = reading_clients; c < clients_.size(); ++c) clients_[c]->ReadAll();
  ASSERT_TRUE(PumpUntil(kPatience, [&] {
    return std::all_of(readers.begin(), readers.end(),
                       [](const Call* call) { return call->closed; });
  }));
  int served = 0;
  int refused = 0;
  for (const Call* call : readers) {
    if (call->grpc_status == "0") {
      ++served;
      EXPECT_GE(call->received_bytes, size_t{kKeys - 1} * kValueBytes);
    } else {
      ++refused;
      EXPECT_TRUE(call->refused_busy()) << call->grpc_status << " " << call->grpc_message;
    }
  }
  EXPECT_EQ(served + refused, kReaders);
  EXPECT_TRUE(ListIsServed(ListMessage()));
  EXPECT_GT(Metric("tidemark_memory_budget_refusals_total{account=\"reads\"}"), 0);
  EXPECT_TRUE(PumpUntil(kPatience, [&] { return writer.written() > 20; }));
  writer.Stop();
  EXPECT_EQ(writer.failed(), 0);

  // Watchers hold little, and have lost nothing: one that reads gets its events in order; one that
  // compaction overtakes hears of it.
  for (int i = 0; i < kWatchers; ++i) {
    EXPECT_FALSE(watchers[i]->closed);
    EXPECT_LE(watchers[i]->received_bytes, kSlowWindowBytes);
  }
  clients_.front()->ReadAll(*watchers[0]);
  ASSERT_TRUE(PumpUntil(kPatience, [&] {
    return watchers[0]->received_bytes > size_t{kKeys} * (kValueBytes + 100);
  }));
  int64_t last = 1;
  for (const etcdserverpb::WatchResponse& response : Responses(*watchers[0])) {
    for (const auto& event : response.events()) {
      EXPECT_GE(event.kv().mod_revision(), last);
      last = event.kv().mod_revision();
    }
  }
  EXPECT_GE(last, kKeys);
  etcdserverpb::CompactionRequest compact;
  compact.set_revision(last);
  compact.set_physical(true);
  EXPECT_TRUE(Answers(&etcdserverpb::KV::Stub::Compact, kv, compact));
  Call& overtaken = *watchers[2 * kCallsPerConnection];
  clients_[2]->ReadAll(overtaken);
  ASSERT_TRUE(PumpUntil(kPatience, [&] {
    const auto responses = Responses(overtaken);
    return !responses.empty() && responses.back().canceled();
  }));
  EXPECT_EQ(Responses(overtaken).back().compact_revision(), last);

  EXPECT_LE(most_rss_bytes_ - base_rss_bytes_, traffic_bytes + kSlackBytes);
  RecordProperty("heap_grew_by_bytes", absl::StrCat(most_rss_bytes_ - base_rss_bytes_));
  RecordProperty("readers_served", served);

  // Everybody goes, and so does what was held for them.
  clients_.clear();
  EXPECT_TRUE(PumpUntil(kPatience,
                        [&] {
                          return Account("reads") < 1e6 && Account("pinned") < 10e6 &&
                                 Account("watches") < 1e6 && Account("connections") < 1e6 &&
                                 HeapBytes() - base_rss_bytes_ < kSlackBytes / 2;
                        }))
      << HttpGet(server_->endpoint(), "/metrics") << "heap grew by "
      << HeapBytes() - base_rss_bytes_;
}

}  // namespace
}  // namespace tidemark::process
