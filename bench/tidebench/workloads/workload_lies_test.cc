// One wrong answer among many fails a run: for each kind of answer the ways in which it can be
// wrong, and which workloads must notice.
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bench/tidebench/dataset.h"
#include "bench/tidebench/server_for_test.h"
#include "bench/tidebench/workloads/methods.h"
#include "bench/tidebench/workloads/run_for_test.h"
#include "gtest/gtest.h"
#include "proto/rpc.pb.h"

namespace tidemark::bench {
namespace {

using etcdserverpb::CompactionResponse;
using etcdserverpb::LeaseGrantResponse;
using etcdserverpb::LeaseKeepAliveResponse;
using etcdserverpb::PutResponse;
using etcdserverpb::RangeResponse;
using etcdserverpb::RangeStreamResponse;
using etcdserverpb::TxnResponse;
using etcdserverpb::WatchResponse;
using google::protobuf::Message;

struct Lie {
  std::string name;
  absl::string_view method;
  std::vector<std::string> workloads;
  std::function<bool(Message*)> tell;  // false: not about this answer
  int first_answer = 20;               // of the method; those before are right
};

template <class Response>
Lie LieAbout(std::string name, absl::string_view method, std::vector<std::string> workloads,
             void (*tell)(Response*)) {
  return {std::move(name), method, std::move(workloads), [tell](Message* answer) {
            tell(dynamic_cast<Response*>(answer));
            return true;
          }};
}

Lie LieAboutEvents(std::string name, std::function<void(WatchResponse*)> tell) {
  return {std::move(name), kWatchMethod, {"watch"}, [tell = std::move(tell)](Message* answer) {
            auto* response = dynamic_cast<WatchResponse*>(answer);
            if (response->events().empty()) return false;
            tell(response);
            return true;
          }};
}

// The one lie is told; the rest is true.
void ExpectNoticed(const Lie& lie) {
  for (const std::string& workload : lie.workloads) {
    auto answers = std::make_shared<std::atomic<int>>(0);
    auto told = std::make_shared<std::atomic<bool>>(false);
    const ServerForTest server([&lie, answers, told](absl::string_view path, Message* answer) {
      if (path != lie.method || answers->fetch_add(1) < lie.first_answer || *told) return;
      if (lie.tell(answer)) *told = true;
    });
    const absl::Status status = RunForTest(server, workload);
    EXPECT_TRUE(*told) << workload << ": " << lie.name;
    EXPECT_FALSE(status.ok()) << workload << " believes: " << lie.name;
    EXPECT_TRUE(absl::IsDataLoss(status) || absl::IsDeadlineExceeded(status)) << status;
  }
}

TEST(WorkloadLiesTest, AboutWrites) {
  const std::vector<std::string> txns = {"update-Txn", "create", "lease-flood", "compaction"};
  ExpectNoticed(
      LieAbout<PutResponse>("the revision does not rise", kPutMethod, {"put"},
                            [](PutResponse* r) { r->mutable_header()->set_revision(1); }));
  ExpectNoticed(LieAbout<TxnResponse>("not succeeded", kTxnMethod, txns,
                                      [](TxnResponse* r) { r->set_succeeded(false); }));
  ExpectNoticed(LieAbout<TxnResponse>("no put in it", kTxnMethod, txns,
                                      [](TxnResponse* r) { r->clear_responses(); }));
  ExpectNoticed(LieAbout<TxnResponse>("the revision does not rise", kTxnMethod, txns,
                                      [](TxnResponse* r) { r->clear_header(); }));
}

// Told when all is over, as what was written is read back.
TEST(WorkloadLiesTest, AboutWhatIsStored) {
  const std::vector<std::string> writers = {"put",         "update-Txn", "create",
                                            "lease-flood", "watch",      "compaction"};
  for (const std::string& workload : writers) {
    const ServerForTest server(nullptr, BareStore::Fault::kStoresNothing);
    EXPECT_TRUE(absl::IsDataLoss(RunForTest(server, workload))) << workload;
  }
  ExpectNoticed(LieAbout<RangeResponse>("an older value", kRangeMethod,
                                        {"put", "update-Txn", "create", "lease-flood", "watch"},
                                        [](RangeResponse* r) {
                                          std::string* value = r->mutable_kvs(0)->mutable_value();
                                          (*value)[value->find('#') + 12] ^= 1;
                                        }));
  const ServerForTest server(nullptr, BareStore::Fault::kStoresNothing);
  WorkloadOptions options = SmallForTest();
  options.compact_every_s = 1000;
  options.per_second = 1000;
  EXPECT_TRUE(absl::IsDataLoss(RunForTest(server, "k8s-100k", options)));
}

TEST(WorkloadLiesTest, AboutSingleKeys) {
  const std::vector<std::string> gets = {"get", "get-serializable"};
  const auto about = [&](const char* name, void (*tell)(RangeResponse*)) {
    ExpectNoticed(LieAbout<RangeResponse>(name, kRangeMethod, gets, tell));
  };
  about("the value's last byte",
        [](RangeResponse* r) { r->mutable_kvs(0)->mutable_value()->back() ^= 1; });
  about("how often it was written", [](RangeResponse* r) {
    std::string* value = r->mutable_kvs(0)->mutable_value();
    ++(*value)[value->find('#') + 5];
  });
  about("an older mod_revision", [](RangeResponse* r) {
    r->mutable_kvs(0)->set_mod_revision(r->kvs(0).mod_revision() - 1);
  });
  about("another key", [](RangeResponse* r) { r->mutable_kvs(0)->mutable_key()->back() ^= 1; });
  about("nothing there", [](RangeResponse* r) { r->clear_kvs(); });
  about("a header from the past", [](RangeResponse* r) { r->mutable_header()->set_revision(1); });
}

TEST(WorkloadLiesTest, AboutLists) {
  const auto about = [&](const char* name, void (*tell)(RangeResponse*)) {
    ExpectNoticed(LieAbout<RangeResponse>(name, kRangeMethod, {"pages", "list"}, tell));
  };
  about("a key is missing", [](RangeResponse* r) {
    r->mutable_kvs()->DeleteSubrange(2, 1);
    r->set_count(r->count() - 1);
  });
  about("the last key is missing", [](RangeResponse* r) { r->mutable_kvs()->RemoveLast(); });
  about("two keys change places", [](RangeResponse* r) { r->mutable_kvs()->SwapElements(0, 1); });
  about("a key twice", [](RangeResponse* r) { *r->mutable_kvs(1) = r->kvs(0); });
  about("more or not", [](RangeResponse* r) { r->set_more(!r->more()); });
  about("the count", [](RangeResponse* r) { r->set_count(r->count() + 1); });
  about("a value", [](RangeResponse* r) { r->mutable_kvs(3)->mutable_value()->back() ^= 1; });
  about("the revision", [](RangeResponse* r) { r->mutable_header()->set_revision(1); });
}

TEST(WorkloadLiesTest, AboutStreamedLists) {
  const auto about = [&](const char* name, void (*tell)(RangeResponse*)) {
    Lie lie{name, kRangeStreamMethod, {"list-stream"}, [tell](Message* answer) {
              tell(dynamic_cast<RangeStreamResponse*>(answer)->mutable_range_response());
              return true;
            }};
    ExpectNoticed(lie);
  };
  about("a key is missing", [](RangeResponse* r) { r->mutable_kvs()->DeleteSubrange(2, 1); });
  about("two keys change places", [](RangeResponse* r) { r->mutable_kvs()->SwapElements(0, 1); });
  about("the count", [](RangeResponse* r) { r->set_count(r->count() - 1); });
  about("no header", [](RangeResponse* r) { r->clear_header(); });
  about("more", [](RangeResponse* r) { r->set_more(true); });
}

TEST(WorkloadLiesTest, AboutEvents) {
  ExpectNoticed(LieAboutEvents("one is missing", [](WatchResponse* r) { r->clear_events(); }));
  ExpectNoticed(
      LieAboutEvents("one comes twice", [](WatchResponse* r) { *r->add_events() = r->events(0); }));
  ExpectNoticed(LieAboutEvents("the revision goes back", [](WatchResponse* r) {
    r->mutable_events(0)->mutable_kv()->set_mod_revision(1);
  }));
  ExpectNoticed(LieAboutEvents("another key's value", [](WatchResponse* r) {
    r->mutable_events(0)->mutable_kv()->mutable_key()->back() ^= 1;
  }));
  ExpectNoticed(LieAboutEvents("no replaced value",
                               [](WatchResponse* r) { r->mutable_events(0)->clear_prev_kv(); }));
  ExpectNoticed(LieAboutEvents("a wrong replaced value", [](WatchResponse* r) {
    r->mutable_events(0)->mutable_prev_kv()->mutable_value()->back() ^= 1;
  }));
  ExpectNoticed(LieAboutEvents("a replaced value of the same revision", [](WatchResponse* r) {
    auto* event = r->mutable_events(0);
    event->mutable_prev_kv()->set_mod_revision(event->kv().mod_revision());
  }));
  const Dataset::Options pods{.prefix = "/registry/pods/load/pod-", .keys = 64, .value_bytes = 200};
  ExpectNoticed(LieAboutEvents("a write of another key", [&](WatchResponse* r) {
    auto* event = r->mutable_events(0);
    const int64_t index = (Dataset(pods).IndexOf(event->kv().key()) + 1) % pods.keys;
    for (auto* kv : {event->mutable_kv(), event->mutable_prev_kv()}) {
      Dataset(pods).KeyOf(index, kv->mutable_key());
      Dataset(pods).ValueOf(index, kv == event->mutable_kv() ? 2 : 1, kv->mutable_value());
    }
  }));
  ExpectNoticed(LieAboutEvents("a write that is not made yet", [&](WatchResponse* r) {
    auto* event = r->mutable_events(0);
    const int64_t index = Dataset(pods).IndexOf(event->kv().key());
    for (auto* kv : {event->mutable_kv(), event->mutable_prev_kv()}) {
      const int64_t writes = Dataset(pods).WritesIn(index, kv->value());
      Dataset(pods).ValueOf(index, writes + 1, kv->mutable_value());
    }
  }));
  ExpectNoticed(LieAboutEvents("progress ahead of events", [](WatchResponse* r) {
    r->clear_events();
    r->mutable_header()->set_revision(r->header().revision() + 1000);
  }));
  ExpectNoticed(LieAboutEvents("cancelled", [](WatchResponse* r) { r->set_canceled(true); }));
}

TEST(WorkloadLiesTest, AboutLeases) {
  ExpectNoticed(LieAbout<LeaseGrantResponse>("no id", kGrantMethod, {"lease-grant"},
                                             [](LeaseGrantResponse* r) { r->clear_id(); }));
  ExpectNoticed(LieAbout<LeaseGrantResponse>("the time", kGrantMethod, {"lease-grant"},
                                             [](LeaseGrantResponse* r) { r->set_ttl(1); }));
  ExpectNoticed(LieAbout<LeaseKeepAliveResponse>("it has run out", kKeepAliveMethod,
                                                 {"lease-keep-alive"},
                                                 [](LeaseKeepAliveResponse* r) { r->set_ttl(0); }));
  ExpectNoticed(
      LieAbout<LeaseKeepAliveResponse>("another one", kKeepAliveMethod, {"lease-keep-alive"},
                                       [](LeaseKeepAliveResponse* r) { r->set_id(r->id() + 1); }));
}

TEST(WorkloadLiesTest, AboutCompactions) {
  Lie lie = LieAbout<CompactionResponse>("from the past", kCompactMethod, {"compaction"},
                                         [](CompactionResponse* r) { r->clear_header(); });
  lie.first_answer = 2;
  ExpectNoticed(lie);
  const ServerForTest server(nullptr, BareStore::Fault::kIgnoresCompactions);
  EXPECT_TRUE(absl::IsDataLoss(RunForTest(server, "compaction")));
}

}  // namespace
}  // namespace tidemark::bench
