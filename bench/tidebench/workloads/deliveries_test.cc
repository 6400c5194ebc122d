// Which deliveries count, in simulated time, and which events nobody caused.
#include "bench/tidebench/workloads/deliveries.h"

#include <memory>
#include <utility>

#include "bench/tidebench/fake_clock_for_test.h"
#include "bench/tidebench/server_for_test.h"
#include "bench/tidebench/workloads/dataset_workload.h"
#include "bench/tidebench/workloads/point_ops.h"
#include "gtest/gtest.h"

namespace tidemark::bench {
namespace {

constexpr int64_t kPatienceNs = 10'000 * kMs;

// Two watchers, and puts every ten milliseconds.
class DeliveriesTest : public ::testing::Test {
 protected:
  DeliveriesTest() { fake_now_ns = 0; }

  void Start(BareStore::Tamper tamper = nullptr) {
    server_ = std::make_unique<ServerForTest>(std::move(tamper));
    client_ = server_->Connect(1);
    Connection* const connection = &client_->connection(0);
    deliveries_ = std::make_unique<Deliveries>(Activity::Description{.name = "events"}, &dataset_,
                                               std::vector{connection, connection}, FakeNowNs);
    std::vector<std::unique_ptr<Op>> ops;
    ops.push_back(std::make_unique<PutOp>(*connection, KeyShare(&dataset_, 0, 1, 1)));
    puts_ =
        std::make_unique<Load>(Load::Options{.name = "puts",
                                             .arrivals = Arrivals(100, Arrivals::Spacing::kEven, 1),
                                             .on_never_sent =
                                                 [this](int64_t due_ns, int64_t now_ns) {
                                                   deliveries_->ChargeNeverWritten(due_ns, now_ns);
                                                 },
                                             .now_ns = FakeNowNs},
                               std::move(ops));
    deliveries_->Start(0);
    TurnUntil([&] { return deliveries_->is_ready(); });
    puts_->Start(0);
    BeginSpan(0);
  }
  ~DeliveriesTest() override { client_.reset(); }

  template <class Condition>
  void TurnUntil(Condition is_there) {
    const int64_t end_ns = MonotonicNs() + kPatienceNs;
    while (!is_there() && MonotonicNs() < end_ns) {
      ASSERT_TRUE(client_->Turn(MonotonicNs() + kMs, [] {}).ok());
    }
    ASSERT_TRUE(is_there());
  }
  void BeginSpan(int64_t now_ns) {
    deliveries_->BeginSpan(now_ns);
    puts_->BeginSpan(now_ns);
  }
  // The one that is due at 10 ms.
  void PutOnce() {
    puts_->Pump(10 * kMs);
    puts_->Stop();
    TurnUntil([&] { return puts_->answers() == 1 && deliveries_->answers() == 2; });
  }

  Dataset dataset_{{.prefix = "/pods/", .keys = 10, .value_bytes = 50}};
  std::unique_ptr<ServerForTest> server_;
  std::unique_ptr<Deliveries> deliveries_;
  std::unique_ptr<Load> puts_;
  std::unique_ptr<Client> client_;
};

TEST_F(DeliveriesTest, WhatIsDueInsideCountsHoweverLateItArrives) {
  Start();
  deliveries_->EndSpan(100 * kMs);
  fake_now_ns = 1'010 * kMs;
  PutOnce();
  EXPECT_EQ(deliveries_->result().answers, 0);
  EXPECT_EQ(deliveries_->result().latency_ns.count(), 2);
  EXPECT_EQ(deliveries_->result().latency_ns.max(), 1000 * kMs);
  deliveries_->Stop();
  EXPECT_TRUE(deliveries_->is_idle());
  EXPECT_EQ(deliveries_->failure(), absl::OkStatus());
}

TEST_F(DeliveriesTest, WhatWasDueBeforeDoesNotCount) {
  Start();
  BeginSpan(20 * kMs);
  fake_now_ns = 30 * kMs;
  PutOnce();
  EXPECT_EQ(deliveries_->result().latency_ns.count(), 0);
}

TEST_F(DeliveriesTest, WhatWasNeverWrittenCountsForEachWatcher) {
  Start();
  deliveries_->EndSpan(35 * kMs);
  puts_->EndSpan(35 * kMs);  // due at 10, 20 and 30 ms
  EXPECT_EQ(deliveries_->result().due, 6);
  EXPECT_EQ(deliveries_->result().never_sent, 6);
  EXPECT_EQ(deliveries_->result().latency_ns.count(), 6);
  EXPECT_EQ(deliveries_->result().latency_ns.max(), 25 * kMs);
  deliveries_->Stop();
  EXPECT_TRUE(deliveries_->is_idle());
}

TEST_F(DeliveriesTest, AnEventThatNobodyCausedStandsForNoOther) {
  Start([](absl::string_view, google::protobuf::Message* answer) {
    auto* watch = dynamic_cast<etcdserverpb::WatchResponse*>(answer);
    if (watch == nullptr || watch->events().empty()) return;
    auto* kv = watch->mutable_events(0)->mutable_kv();
    kv->set_create_revision(kv->mod_revision() + 5);
    kv->set_mod_revision(kv->mod_revision() + 5);
    watch->mutable_header()->set_revision(kv->mod_revision());
  });
  PutOnce();
  deliveries_->Stop();
  EXPECT_FALSE(deliveries_->is_idle());
}

}  // namespace
}  // namespace tidemark::bench
