// Which question an answer is booked for, in simulated time.
#include "bench/tidebench/workloads/progress_asker.h"

#include <memory>
#include <vector>

#include "bench/tidebench/fake_clock_for_test.h"
#include "gtest/gtest.h"

namespace tidemark::bench {
namespace {

class FakeStream : public ProgressStream {
 public:
  void RequestProgress() override { ++asked; }
  void Answer(int64_t revision) { progress_listener()->OnProgress(revision); }
  int asked = 0;
};

// One stream, asked every 100 ms.
class ProgressAskerTest : public ::testing::Test {
 protected:
  ProgressAskerTest() {
    fake_now_ns = 0;
    asker_.Start(0);
    asker_.BeginSpan(0);
  }
  void PumpAt(int64_t at_ms) {
    fake_now_ns = at_ms * kMs;
    asker_.Pump(fake_now_ns);
  }
  void AnswerAt(int64_t at_ms, int64_t revision) {
    fake_now_ns = at_ms * kMs;
    stream_.Answer(revision);
  }
  void StopAt(int64_t at_ms) {
    fake_now_ns = at_ms * kMs;
    asker_.EndSpan(fake_now_ns);
    asker_.Stop();
  }
  const ActivityResult& result() const { return asker_.result(); }
  int64_t min_ms() const { return result().latency_ns.min() / kMs; }
  int64_t max_ms() const { return result().latency_ns.max() / kMs; }

  FakeStream stream_;
  int64_t newest_revision_ = 10;
  ProgressAsker asker_{
      {.name = "progress"}, {&stream_}, [this] { return newest_revision_; }, 100 * kMs, FakeNowNs};
};

TEST_F(ProgressAskerTest, ALateAnswerIsOfTheQuestionThatItIsLateFor) {
  for (int64_t at_ms = 100; at_ms <= 1000; at_ms += 100) {
    PumpAt(at_ms);
    if (at_ms > 100) AnswerAt(at_ms + 10, 10);
  }
  EXPECT_EQ(stream_.asked, 10);
  EXPECT_EQ(result().latency_ns.count(), 9);
  EXPECT_EQ(min_ms(), 110);
  EXPECT_EQ(max_ms(), 110);
}

TEST_F(ProgressAskerTest, AnAnswerThatKnowsLessThanWasAskedForIsOfAnEarlierQuestion) {
  PumpAt(100);
  newest_revision_ = 20;
  PumpAt(200);
  AnswerAt(210, 15);
  EXPECT_EQ(result().done, 1);
  EXPECT_EQ(min_ms(), 110);
  AnswerAt(290, 19);
  EXPECT_EQ(result().done, 1);
  AnswerAt(310, 20);
  EXPECT_EQ(result().done, 2);
  EXPECT_EQ(min_ms(), 110);
}

TEST_F(ProgressAskerTest, OneAnswerMayBeOfAllThatItKnowsEnoughFor) {
  PumpAt(100);
  newest_revision_ = 20;
  PumpAt(200);
  AnswerAt(210, 20);  // the first question was left unanswered
  EXPECT_EQ(result().done, 2);
  EXPECT_EQ(max_ms(), 110);
  AnswerAt(220, 20);  // of nothing
  EXPECT_EQ(result().done, 2);
}

TEST_F(ProgressAskerTest, WhatIsOpenInTheEndIsAskedAgainAndThenCharged) {
  PumpAt(100);
  AnswerAt(101, 10);
  PumpAt(200);
  PumpAt(300);
  StopAt(350);
  EXPECT_FALSE(asker_.is_idle());
  PumpAt(400);
  EXPECT_EQ(stream_.asked, 4);
  AnswerAt(410, 10);
  EXPECT_FALSE(asker_.is_idle());
  EXPECT_EQ(asker_.next_due_ns(), 500 * kMs);
  PumpAt(850);
  EXPECT_TRUE(asker_.is_idle());
  EXPECT_EQ(result().due, 3);
  EXPECT_EQ(result().done, 2);
  EXPECT_EQ(result().never_answered, 1);
  EXPECT_EQ(max_ms(), 550);  // due at 300 ms
  EXPECT_EQ(asker_.failure(), absl::OkStatus());
}

TEST_F(ProgressAskerTest, AStreamThatGetsNoAnswerInAWholeSpanFails) {
  PumpAt(100);
  AnswerAt(110, 10);
  PumpAt(200);
  asker_.BeginSpan(250 * kMs);
  for (int64_t at_ms = 300; at_ms <= 500; at_ms += 100) PumpAt(at_ms);
  StopAt(510);
  EXPECT_EQ(asker_.failure(), absl::OkStatus());
  PumpAt(1010);
  EXPECT_TRUE(absl::IsDataLoss(asker_.failure()));
}

TEST_F(ProgressAskerTest, IsIdleAtOnceWhenNothingIsOpen) {
  PumpAt(100);
  AnswerAt(110, 10);
  StopAt(150);
  EXPECT_TRUE(asker_.is_idle());
  EXPECT_EQ(asker_.next_due_ns(), INT64_MAX);
}

}  // namespace
}  // namespace tidemark::bench
