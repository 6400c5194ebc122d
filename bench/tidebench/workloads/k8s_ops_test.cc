// The requests that only k8s-100k sends, one kind at a time: right answers pass, one wrong one
// fails.
#include "bench/tidebench/workloads/k8s_ops.h"

#include <atomic>
#include <functional>
#include <memory>
#include <vector>

#include "bench/tidebench/runner.h"
#include "bench/tidebench/server_for_test.h"
#include "bench/tidebench/workloads/dataset_workload.h"
#include "bench/tidebench/workloads/deliveries.h"
#include "bench/tidebench/workloads/progress_asker.h"
#include "gtest/gtest.h"

namespace tidemark::bench {
namespace {

using google::protobuf::Message;

constexpr int64_t kStored = 50;

enum class Kind { kPodLife, kEvents, kProbe, kChecker, kProgress };

std::unique_ptr<Op> MakeOp(Kind kind, Connection& connection, Dataset* dataset,
                           const LeasePool* leases) {
  const KeyShare behind(dataset, {kStored, 1'000'000}, 0, 1, 1);
  switch (kind) {
    case Kind::kPodLife:
      return std::make_unique<PodLifeOp>(connection, behind);
    case Kind::kEvents:
      return std::make_unique<EventOp>(connection, behind, leases);
    case Kind::kProbe:
      return std::make_unique<ProbeOp>(connection, dataset, "/registry/pods");
    case Kind::kChecker:
      return std::make_unique<CheckerOp>(connection, std::vector<const Dataset*>{dataset});
    case Kind::kProgress:
      return std::make_unique<RenewOp>(connection, KeyShare(dataset, {0, kStored}, 0, 1, 1));
  }
  Fatal("no such kind");
}

const Dataset::Options kPods{
    .prefix = "/registry/pods/pod-", .keys = 1'000'000, .value_bytes = 100};

// Fills a dataset twice, so that there are old values, and sends requests of the kind for a moment.
absl::Status RunKind(Kind kind, BareStore::Tamper tamper = nullptr,
                     BareStore::Fault fault = BareStore::Fault::kNone) {
  Dataset dataset(kPods);
  LeasePool leases{.ids = {77}};
  Filler first({{&dataset, kStored}});
  Filler second({{&dataset, kStored}});
  const ServerForTest server(std::move(tamper), fault);
  std::vector<std::unique_ptr<Activity>> fills;
  std::unique_ptr<Deliveries> deliveries;
  std::unique_ptr<ProgressAsker> asker;
  std::unique_ptr<Activity> load;
  const auto client = server.Connect(1);
  Runner runner(*client);
  for (Filler* filler : {&first, &second}) {
    fills.push_back(filler->Make(*client));
    absl::Status filled = runner.RunToEnd(fills.back().get(), [] {});
    if (!filled.ok()) return filled;
  }
  std::vector<Activity*> activities;
  if (kind == Kind::kProgress) {
    deliveries = std::make_unique<Deliveries>(Activity::Description{.name = "events"}, &dataset,
                                              std::vector{&client->connection(0)});
    asker = std::make_unique<ProgressAsker>(
        Activity::Description{.name = "progress"},
        std::vector<ProgressStream*>{&deliveries->stream(0)},
        [&] { return dataset.newest_revision(); }, 1'000'000);
    activities = {deliveries.get(), asker.get()};
  }
  load = MakeLoad(*client, {.count = 1}, [&](Connection& connection, int64_t) {
    return MakeOp(kind, connection, &dataset, &leases);
  });
  activities.push_back(load.get());
  return runner
      .Measure(activities, {.span_ns = 10'000'000,
                            .least_answers = fault == BareStore::Fault::kNone ? 30 : 0,
                            .silence_limit_ns = 1'000'000'000})
      .status();
}

// `lie` changes the first answer that it can, and says so.
void ExpectNoticed(const char* name, Kind kind, std::function<bool(Message*)> lie) {
  auto told = std::make_shared<std::atomic<bool>>(false);
  auto answers = std::make_shared<std::atomic<int>>(0);
  const absl::Status status =
      RunKind(kind, [told, answers, lie = std::move(lie)](absl::string_view, Message* answer) {
        if (answers->fetch_add(1) > 20 && !*told) *told = lie(answer);
      });
  EXPECT_TRUE(*told) << name;
  EXPECT_TRUE(absl::IsDataLoss(status)) << "believed: " << name << "; " << status;
}

TEST(K8sOpsTest, RightAnswersPass) {
  for (const Kind kind :
       {Kind::kPodLife, Kind::kEvents, Kind::kProbe, Kind::kChecker, Kind::kProgress}) {
    EXPECT_EQ(RunKind(kind), absl::OkStatus()) << static_cast<int>(kind);
  }
}

TEST(K8sOpsTest, ADeleteOfNothing) {
  ExpectNoticed("nothing deleted", Kind::kPodLife, [](Message* answer) {
    auto* txn = dynamic_cast<etcdserverpb::TxnResponse*>(answer);
    if (txn == nullptr || txn->responses_size() != 1) return false;
    auto* response = txn->mutable_responses(0);
    if (!response->has_response_delete_range()) return false;
    response->mutable_response_delete_range()->set_deleted(0);
    return true;
  });
}

TEST(K8sOpsTest, AnEventThatWasThere) {
  ExpectNoticed("not created", Kind::kEvents, [](Message* answer) {
    dynamic_cast<etcdserverpb::TxnResponse*>(answer)->set_succeeded(false);
    return true;
  });
}

TEST(K8sOpsTest, AStaleProbe) {
  ExpectNoticed("a revision from the past", Kind::kProbe, [](Message* answer) {
    dynamic_cast<etcdserverpb::RangeResponse*>(answer)->mutable_header()->set_revision(1);
    return true;
  });
}

TEST(K8sOpsTest, AWrongCheck) {
  using etcdserverpb::RangeResponse;
  const auto about = [](const char* name, void (*tell)(RangeResponse*)) {
    ExpectNoticed(name, Kind::kChecker, [tell](Message* answer) {
      auto* stream = dynamic_cast<etcdserverpb::RangeStreamResponse*>(answer);
      tell(stream->mutable_range_response());
      return true;
    });
  };
  about("a key from the future",
        [](RangeResponse* r) { r->mutable_kvs(0)->set_mod_revision(1'000'000); });
  about("two keys change places", [](RangeResponse* r) { r->mutable_kvs()->SwapElements(3, 4); });
  about("a wrong value", [](RangeResponse* r) { r->mutable_kvs(9)->clear_value(); });
  about("a wrong count", [](RangeResponse* r) { r->set_count(1); });
  about("no header", [](RangeResponse* r) { r->clear_header(); });
  about("nothing", [](RangeResponse* r) {
    r->clear_kvs();
    r->set_count(0);
  });
  about("every second key", [](RangeResponse* r) {
    for (int i = r->kvs_size() - 1; i >= 0; i -= 2) r->mutable_kvs()->DeleteSubrange(i, 1);
    r->set_count(r->kvs_size());
  });
  about("an old value", [](RangeResponse* r) {
    Dataset(kPods).ValueOf(3, 1, r->mutable_kvs(3)->mutable_value());
    r->mutable_kvs(3)->set_mod_revision(2);
  });
  about("a key that nobody wrote", [](RangeResponse* r) {
    *r->add_kvs() = r->kvs(0);
    auto* kv = r->mutable_kvs(r->kvs_size() - 1);
    Dataset(kPods).KeyOf(kStored, kv->mutable_key());
    Dataset(kPods).ValueOf(kStored, 1, kv->mutable_value());
    r->set_count(r->kvs_size());
  });
}

TEST(K8sOpsTest, ProgressThatGoesBackOrAhead) {
  for (const int64_t change : {-5, +5}) {
    ExpectNoticed("progress not at what was sent", Kind::kProgress, [change](Message* answer) {
      auto* watch = dynamic_cast<etcdserverpb::WatchResponse*>(answer);
      if (watch == nullptr || watch->watch_id() != -1) return false;
      watch->mutable_header()->set_revision(watch->header().revision() + change);
      return true;
    });
  }
}

TEST(K8sOpsTest, NoProgressAtAll) {
  const absl::Status status =
      RunKind(Kind::kProgress, nullptr, BareStore::Fault::kAnswersNoProgress);
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
}

}  // namespace
}  // namespace tidemark::bench
