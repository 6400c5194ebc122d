#include "src/base/thread_executor.h"

#include <algorithm>
#include <array>
#include <functional>
#include <latch>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "src/base/inline_blocking_runner.h"
#include "src/base/posix_clock.h"
#include "src/base/posix_random.h"
#include "src/base/thread_blocking_runner.h"

namespace tidemark {
namespace {

class ThreadExecutorTest : public testing::Test {
 protected:
  // Everything posted before has run afterwards.
  void Drain() {
    std::latch drained(1);
    executor_.Post([&] { drained.count_down(); });
    drained.wait();
  }

  PosixClock clock_;
  ThreadExecutor executor_{"a-name-longer-than-15", clock_};
};

TEST_F(ThreadExecutorTest, RunsInTheOrderPostedFromManyThreads) {
  constexpr int kThreads = 4;
  constexpr int kTasks = 5000;
  std::array<std::vector<int>, kThreads> seen;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([this, t, &seen] {
      for (int i = 0; i < kTasks; ++i) executor_.Post([&seen, t, i] { seen[t].push_back(i); });
    });
  }
  for (std::thread& thread : threads) thread.join();
  Drain();
  for (const std::vector<int>& order : seen) {
    ASSERT_EQ(order.size(), static_cast<size_t>(kTasks));
    EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  }
}

TEST_F(ThreadExecutorTest, NeverRunsInlineAndKnowsItself) {
  std::vector<std::string> order;
  EXPECT_FALSE(executor_.IsCurrent());
  executor_.Post([&] {
    EXPECT_TRUE(executor_.IsCurrent());
    executor_.Post([&] { order.push_back("inner"); });
    order.push_back("outer");
  });
  Drain();
  Drain();
  EXPECT_THAT(order, testing::ElementsAre("outer", "inner"));
}

TEST_F(ThreadExecutorTest, TimersRunInTheOrderOfTheirTimesAndNotEarly) {
  std::latch done(1);
  std::vector<int> order;
  const absl::Duration start = clock_.Monotonic();
  executor_.PostAt(start + absl::Milliseconds(20), [&] {
    EXPECT_GE(clock_.Monotonic(), start + absl::Milliseconds(20));
    order.push_back(20);
    done.count_down();
  });
  executor_.PostAt(start + absl::Milliseconds(10), [&] {
    EXPECT_GE(clock_.Monotonic(), start + absl::Milliseconds(10));
    order.push_back(10);
  });
  executor_.PostAt(start, [&] { order.push_back(0); });
  done.wait();
  EXPECT_THAT(order, testing::ElementsAre(0, 10, 20));
}

TEST_F(ThreadExecutorTest, ACancelledTimerDoesNotStart) {
  std::latch later(1);
  bool ran = false;
  const absl::Duration now = clock_.Monotonic();
  executor_.Post([&] {
    const TimerId due = executor_.PostAt(now, [&] { ran = true; });
    executor_.Cancel(due);
    executor_.Cancel(due);
    executor_.Cancel(123456);
    executor_.PostAt(now + absl::Milliseconds(1), [&] { later.count_down(); });
  });
  later.wait();
  EXPECT_FALSE(ran);
}

TEST_F(ThreadExecutorTest, ATimerThatRenewsItselfForNowDoesNotStarveTasks) {
  bool stop = false;
  std::function<void()> tick = [&] {
    if (!stop) executor_.PostAt(absl::ZeroDuration(), [&] { tick(); });
  };
  executor_.Post([&] { tick(); });
  Drain();
  executor_.Post([&] { stop = true; });
  Drain();
  executor_.Stop();
}

TEST_F(ThreadExecutorTest, StopDestroysWhatWaitsWithoutRunningIt) {
  auto token = std::make_shared<int>(0);
  std::latch entered(1);
  std::latch leave(1);
  executor_.Post([&] {
    entered.count_down();
    leave.wait();
  });
  executor_.PostAt(clock_.Monotonic(), [token] { ++*token; });
  entered.wait();
  executor_.Post([token] { ++*token; });
  std::thread stopper([&] { executor_.Stop(); });
  // A stopped executor drops what is posted: the count tells when Stop() has begun.
  while (true) {
    auto probe = std::make_shared<int>(0);
    executor_.Post([probe] {});
    if (probe.use_count() == 1) break;
  }
  leave.count_down();
  stopper.join();
  executor_.Post([token] { ++*token; });
  executor_.PostAt(clock_.Monotonic(), [token] { ++*token; });
  EXPECT_EQ(*token, 0);
  EXPECT_EQ(token.use_count(), 1);
}

TEST_F(ThreadExecutorTest, MayBeStoppedFromItsOwnTask) {
  std::latch stopped(1);
  bool ran = false;
  executor_.Post([&] {
    executor_.Post([&] { ran = true; });
    executor_.Stop();
    stopped.count_down();
  });
  stopped.wait();
  executor_.Stop();
  EXPECT_FALSE(ran);
}

TEST(ThreadBlockingRunner, FinishesInOrderBeforeItEnds) {
  std::vector<int> order;
  {
    ThreadBlockingRunner runner("disk");
    for (int i = 0; i < 100; ++i) runner.Run([&order, i] { order.push_back(i); });
  }
  ASSERT_EQ(order.size(), 100u);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

TEST(InlineBlockingRunner, RunsAtOnce) {
  InlineBlockingRunner runner;
  bool ran = false;
  runner.Run([&] { ran = true; });
  EXPECT_TRUE(ran);
}

TEST(PosixClock, MonotonicTimeDoesNotGoBack) {
  PosixClock clock;
  absl::Duration last = clock.Monotonic();
  for (int i = 0; i < 1000; ++i) {
    const absl::Duration now = clock.Monotonic();
    ASSERT_GE(now, last);
    last = now;
  }
  EXPECT_GT(clock.Wall(), absl::FromCivil(absl::CivilDay(2024, 1, 1), absl::UTCTimeZone()));
}

TEST(PosixRandom, DoesNotRepeatItselfAcrossBlocksOrInstances) {
  PosixRandom one;
  PosixRandom two;
  std::vector<uint64_t> numbers;
  for (int i = 0; i < 200; ++i) {
    numbers.push_back(one.Next());
    numbers.push_back(two.Next());
  }
  std::sort(numbers.begin(), numbers.end());
  EXPECT_EQ(std::adjacent_find(numbers.begin(), numbers.end()), numbers.end());
}

}  // namespace
}  // namespace tidemark
