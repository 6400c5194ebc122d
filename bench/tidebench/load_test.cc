// When requests are sent and which latencies count, in simulated time.
#include "bench/tidebench/load.h"

#include <memory>
#include <vector>

#include "bench/tidebench/fake_clock_for_test.h"
#include "bench/tidebench/server_for_test.h"
#include "gtest/gtest.h"

namespace tidemark::bench {
namespace {

// Ends when the test says so; never touches its connection.
class FakeOp : public Op {
 public:
  explicit FakeOp(Connection& connection) : Op(connection) {}
  bool Begin() override {
    is_busy = true;
    return true;
  }
  void End(const absl::Status& status = absl::OkStatus()) {
    is_busy = false;
    Done(status);
  }
  bool is_busy = false;

 private:
  void OnMessage(absl::string_view) override {}
  void OnEnd(const absl::Status&) override {}
};

class LoadTest : public ::testing::Test {
 protected:
  LoadTest() : client_(server_.Connect(1)) { fake_now_ns = 0; }

  Load MakeLoad(int count, std::optional<Arrivals> arrivals) {
    std::vector<std::unique_ptr<Op>> ops;
    for (int i = 0; i < count; ++i) {
      auto op = std::make_unique<FakeOp>(client_->connection(0));
      ops_.push_back(op.get());
      ops.push_back(std::move(op));
    }
    return Load({.name = "test", .arrivals = arrivals, .now_ns = FakeNowNs}, std::move(ops));
  }
  int busy() const {
    int count = 0;
    for (const FakeOp* op : ops_) count += op->is_busy ? 1 : 0;
    return count;
  }
  static Arrivals EveryMs() { return Arrivals(1000, Arrivals::Spacing::kEven, 1); }

  ServerForTest server_;
  std::unique_ptr<Client> client_;
  std::vector<FakeOp*> ops_;
};

TEST_F(LoadTest, ClosedLoopBeginsAgainAtEachAnswer) {
  Load load = MakeLoad(3, std::nullopt);
  load.Start(0);
  EXPECT_EQ(busy(), 3);
  load.BeginSpan(10 * kMs);
  fake_now_ns = 12 * kMs;
  ops_[0]->End();
  EXPECT_EQ(busy(), 3);
  fake_now_ns = 15 * kMs;
  ops_[0]->End();
  EXPECT_EQ(load.result().answers, 2);
  EXPECT_EQ(load.result().latency_ns.min(), 3 * kMs);
  EXPECT_EQ(load.result().latency_ns.max(), 12 * kMs);
  load.EndSpan(20 * kMs);
  fake_now_ns = 25 * kMs;
  ops_[1]->End();  // answered outside of the span
  EXPECT_EQ(load.result().answers, 2);
  load.Stop();
  for (FakeOp* op : ops_) op->End();
  EXPECT_TRUE(load.is_idle());
}

TEST_F(LoadTest, OpenLoopSendsWhenDueAndNotBefore) {
  Load load = MakeLoad(10, EveryMs());
  load.Start(0);
  load.Pump(kMs - 1);
  EXPECT_EQ(busy(), 0);
  EXPECT_EQ(load.next_due_ns(), kMs);
  load.Pump(kMs);
  EXPECT_EQ(busy(), 1);
  load.Pump(4 * kMs);  // the loop came late: three are due
  EXPECT_EQ(busy(), 4);
}

// A server that stalls for a second makes the thousand requests wait that were due meanwhile,
// though only one could be sent. All of them count.
TEST_F(LoadTest, AStallIsChargedToEveryRequestDueInIt) {
  Load load = MakeLoad(1, EveryMs());
  load.Start(0);
  load.BeginSpan(0);
  load.Pump(kMs);
  fake_now_ns = 1'001 * kMs;
  for (int i = 0; i < 1001; ++i) {  // then it answers at once
    ops_[0]->End();
    load.Pump(fake_now_ns);
  }
  EXPECT_EQ(load.result().latency_ns.count(), 1001);
  EXPECT_EQ(load.result().latency_ns.max(), 1000 * kMs);
  EXPECT_NEAR(static_cast<double>(load.result().latency_ns.Percentile(0.5)), 500e6, 5e6);
  EXPECT_EQ(load.result().never_sent, 0);
}

TEST_F(LoadTest, WhatWasNeverSentCountsWithTheTimeItWaited) {
  Load load = MakeLoad(1, EveryMs());
  load.Start(0);
  load.BeginSpan(0);
  load.Pump(kMs);
  load.EndSpan(100 * kMs);
  EXPECT_EQ(load.result().never_sent, 98);  // due at 2 to 99 ms
  EXPECT_EQ(load.result().latency_ns.count(), 98);
  EXPECT_EQ(load.result().due, 99);
  EXPECT_EQ(load.result().done, 0);
  EXPECT_EQ(load.result().latency_ns.max(), 98 * kMs);
  load.Stop();
  fake_now_ns = 150 * kMs;
  ops_[0]->End();  // was due inside
  EXPECT_EQ(load.result().latency_ns.count(), 99);
  EXPECT_EQ(load.result().done, 1);
  EXPECT_EQ(load.result().answers, 0);  // but answered outside
  EXPECT_TRUE(load.is_idle());
}

TEST_F(LoadTest, TheFirstFailureStopsIt) {
  Load load = MakeLoad(2, std::nullopt);
  load.Start(0);
  ops_[0]->End(WrongAnswer("planted"));
  EXPECT_EQ(load.failure().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(busy(), 1);
  ops_[1]->End(absl::UnavailableError("later"));
  EXPECT_EQ(load.failure().code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(load.is_idle());
}

}  // namespace
}  // namespace tidemark::bench
