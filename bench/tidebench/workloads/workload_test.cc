// Every workload passes against a right server and fails at the first wrong answer.
#include "bench/tidebench/workloads/workload.h"

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "bench/tidebench/runner.h"
#include "bench/tidebench/server_for_test.h"
#include "gtest/gtest.h"
#include "proto/rpc.pb.h"

namespace tidemark::bench {
namespace {

using google::protobuf::Message;

absl::Status RunOnce(const std::string& name, BareStore::Tamper tamper,
                     WorkloadOptions options = {.clients = 4, .connections = 2, .keys = 64}) {
  const WorkloadKind* kind = nullptr;
  for (const WorkloadKind& each : WorkloadKinds()) {
    if (each.name == name) kind = &each;
  }
  CHECK(kind != nullptr);
  const std::unique_ptr<Workload> workload = kind->make(options);
  ServerForTest server(std::move(tamper));
  std::vector<std::unique_ptr<Activity>> activities;
  std::unique_ptr<Activity> fill;
  const auto client = server.Connect(options.connections);
  Runner runner(*client);
  fill = workload->MakeFill(*client);
  if (fill != nullptr) {
    absl::Status status = runner.RunToEnd(fill.get(), [] {});
    if (!status.ok()) return status;
    EXPECT_EQ(fill->answers(), workload->fill_requests());
  }
  activities = workload->MakeActivities(*client);
  std::vector<Activity*> borrowed;
  for (const auto& activity : activities) borrowed.push_back(activity.get());
  const auto result = runner.Measure(borrowed, {.warm_up_ns = 10'000'000, .span_ns = 50'000'000});
  for (const Activity* activity : borrowed) {
    EXPECT_GT(activity->result().answers, result.ok() ? 0 : -1) << activity->name();
  }
  return result.status();
}

TEST(WorkloadTest, EveryKindRunsAgainstARightServer) {
  for (const WorkloadKind& kind : WorkloadKinds()) {
    EXPECT_EQ(RunOnce(std::string(kind.name), nullptr), absl::OkStatus()) << kind.name;
  }
}

TEST(WorkloadTest, EveryKindRunsAtARate) {
  for (const WorkloadKind& kind : WorkloadKinds()) {
    EXPECT_EQ(RunOnce(std::string(kind.name), nullptr,
                      {.clients = 4, .connections = 1, .keys = 64, .per_second = 1000}),
              absl::OkStatus())
        << kind.name;
  }
}

// One lie: how an answer of a method is changed, and which workloads must notice.
struct Lie {
  std::string name;
  std::string path;
  std::vector<std::string> workloads;
  std::function<void(Message*)> tell;
};

template <class Response>
std::function<void(Message*)> Telling(void (*change)(Response*)) {
  return [change](Message* answer) { change(dynamic_cast<Response*>(answer)); };
}

std::vector<Lie> Lies() {
  using etcdserverpb::PutResponse;
  using etcdserverpb::RangeResponse;
  using etcdserverpb::TxnResponse;
  const std::string range = "/etcdserverpb.KV/Range";
  const std::string txn = "/etcdserverpb.KV/Txn";
  const std::vector<std::string> gets = {"get", "get-serializable"};
  const std::vector<std::string> txns = {"update-Txn", "create"};
  return {
      {"a put's revision does not rise",
       "/etcdserverpb.KV/Put",
       {"put"},
       Telling<PutResponse>([](PutResponse* put) { put->mutable_header()->set_revision(1); })},
      {"a value's last byte", range, gets, Telling<RangeResponse>([](RangeResponse* get) {
         get->mutable_kvs(0)->mutable_value()->back() ^= 1;
       })},
      {"an older mod_revision", range, gets, Telling<RangeResponse>([](RangeResponse* get) {
         get->mutable_kvs(0)->set_mod_revision(get->kvs(0).mod_revision() - 1);
       })},
      {"another key", range, gets, Telling<RangeResponse>([](RangeResponse* get) {
         get->mutable_kvs(0)->mutable_key()->back() ^= 1;
       })},
      {"nothing there", range, gets, Telling<RangeResponse>([](RangeResponse* get) {
         get->clear_kvs();
         get->set_count(0);
       })},
      {"a header from the past", range, gets,
       Telling<RangeResponse>([](RangeResponse* get) { get->mutable_header()->set_revision(1); })},
      {"not succeeded", txn, txns,
       Telling<TxnResponse>([](TxnResponse* txn) { txn->set_succeeded(false); })},
      {"no put in it", txn, txns,
       Telling<TxnResponse>([](TxnResponse* txn) { txn->clear_responses(); })},
      {"a Txn's revision does not rise", txn, txns,
       Telling<TxnResponse>([](TxnResponse* txn) { txn->mutable_header()->set_revision(0); })},
  };
}

TEST(WorkloadTest, OneWrongAnswerFailsTheRun) {
  for (const Lie& lie : Lies()) {
    for (const std::string& workload : lie.workloads) {
      auto answers = std::make_shared<std::atomic<int>>(0);
      const absl::Status status =
          RunOnce(workload, [&lie, answers](absl::string_view path, Message* answer) {
            if (path == lie.path && answers->fetch_add(1) == 20) lie.tell(answer);
          });
      EXPECT_GT(answers->load(), 20) << lie.name;
      EXPECT_TRUE(absl::IsDataLoss(status))
          << workload << " believes: " << lie.name << "; " << status;
    }
  }
}

TEST(WorkloadTest, AServerThatDiesFailsTheRun) {
  const WorkloadOptions options = {.clients = 4, .connections = 1, .keys = 64};
  const std::unique_ptr<Workload> workload = WorkloadKinds().front().make(options);
  auto server = std::make_unique<ServerForTest>();
  std::vector<std::unique_ptr<Activity>> activities;
  const auto client = server->Connect(1);
  activities = workload->MakeActivities(*client);
  const auto result = Runner(*client).Measure(
      {activities[0].get()},
      {.span_ns = 60'000'000'000, .on_progress = [&](double) { server.reset(); }});
  EXPECT_TRUE(absl::IsUnavailable(result.status())) << result.status();
}

}  // namespace
}  // namespace tidemark::bench
