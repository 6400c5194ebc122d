#include "tests/sim/env/world.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "src/base/failpoint.h"

namespace tidemark::sim {
namespace {

using testing::ElementsAre;

struct Outcome {
  uint64_t trace_hash;
  std::vector<std::string> order;
};

// Two executors and a disk that hand work to each other.
Outcome RunMixture(uint64_t seed) {
  Outcome run;
  World world(seed);
  std::unique_ptr<Executor> left = world.NewExecutor("left");
  std::unique_ptr<Executor> right = world.NewExecutor("right");
  std::unique_ptr<BlockingRunner> disk =
      world.NewBlockingRunner("disk", absl::Microseconds(1), absl::Microseconds(50));
  for (int i = 0; i < 30; ++i) {
    left->Post([&, i] {
      run.order.push_back(absl::StrCat("left ", i));
      disk->Run([&, i] {
        run.order.push_back(absl::StrCat("disk ", i));
        right->Post([&, i] { run.order.push_back(absl::StrCat("back ", i)); });
      });
    });
    right->Post([&, i] { run.order.push_back(absl::StrCat("right ", i)); });
  }
  EXPECT_TRUE(world.RunUntilIdle(1000));
  run.trace_hash = world.trace_hash();
  return run;
}

TEST(World, ASeedRepeatsItsTraceAndSeedsDiffer) {
  std::set<uint64_t> hashes;
  std::set<std::vector<std::string>> orders;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const Outcome run = RunMixture(seed);
    const Outcome again = RunMixture(seed);
    EXPECT_EQ(run.trace_hash, again.trace_hash) << "seed " << seed;
    EXPECT_EQ(run.order, again.order) << "seed " << seed;
    hashes.insert(run.trace_hash);
    orders.insert(run.order);
  }
  EXPECT_EQ(hashes.size(), 20u);
  EXPECT_GE(orders.size(), 19u);
}

TEST(World, TasksOfOneExecutorOrRunnerKeepTheirOrder) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    const Outcome run = RunMixture(seed);
    ASSERT_EQ(run.order.size(), 120u);
    for (const char* kind : {"left ", "right ", "disk ", "back "}) {
      std::vector<std::string> found;
      for (const std::string& text : run.order) {
        if (absl::StartsWith(text, kind)) found.push_back(text);
      }
      std::vector<std::string> expected;
      for (int i = 0; i < 30; ++i) expected.push_back(absl::StrCat(kind, i));
      ASSERT_EQ(found, expected) << "seed " << seed;
    }
  }
}

TEST(World, NotesChangeTheTrace) {
  World plain(1);
  World noted(1);
  noted.Note("acknowledged 7");
  EXPECT_NE(plain.trace_hash(), noted.trace_hash());
  EXPECT_THAT(noted.recent_events(), ElementsAre("0 acknowledged 7"));
}

TEST(World, RemembersTheLast200Events) {
  World world(1);
  for (int i = 0; i < 300; ++i) world.Note(absl::StrCat(i));
  ASSERT_EQ(world.recent_events().size(), 200u);
  EXPECT_EQ(world.recent_events().back(), "0 299");
  EXPECT_EQ(world.recent_events().front(), "0 100");
}

TEST(World, TimersRunInTheOrderOfTheirTimesAndNotEarly) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    World world(seed);
    std::unique_ptr<Executor> executor = world.NewExecutor("a");
    std::vector<int> order;
    for (int us : {30, 10, 20, 11, 10}) {
      executor->PostAt(absl::Microseconds(us), [&world, &order, us] {
        EXPECT_GE(world.clock().Monotonic(), absl::Microseconds(us));
        order.push_back(us);
      });
    }
    EXPECT_TRUE(world.RunUntilIdle(100));
    ASSERT_THAT(order, ElementsAre(10, 10, 11, 20, 30)) << "seed " << seed;
  }
}

TEST(World, ACancelledTimerNeitherRunsNorMovesTime) {
  World world(1);
  std::unique_ptr<Executor> executor = world.NewExecutor("a");
  bool ran = false;
  const TimerId id = executor->PostAt(absl::Hours(1), [&] { ran = true; });
  executor->Cancel(id);
  executor->Cancel(id);
  EXPECT_TRUE(world.RunUntilIdle(10));
  EXPECT_FALSE(ran);
  EXPECT_EQ(world.clock().Monotonic(), absl::ZeroDuration());
}

TEST(World, RunForEndsAtItsTimeEvenWithEndlessWork) {
  World world(3);
  std::unique_ptr<Executor> executor = world.NewExecutor("a");
  int64_t rounds = 0;
  std::function<void()> again = [&] {
    ++rounds;
    executor->Post([&] { again(); });
  };
  again();
  world.RunFor(absl::Milliseconds(1));
  EXPECT_EQ(world.clock().Monotonic(), absl::Milliseconds(1));
  EXPECT_GT(rounds, 0);
  EXPECT_LE(rounds, 1001);
  EXPECT_FALSE(world.RunUntilIdle(100));
}

TEST(World, RunUntilStopsWhenTheConditionHolds) {
  World world(1);
  bool first = false;
  bool second = false;
  world.At(absl::Milliseconds(5), [&] { first = true; });
  world.At(absl::Milliseconds(9), [&] { second = true; });
  EXPECT_TRUE(world.RunUntil([&] { return first; }, absl::Seconds(1)));
  EXPECT_EQ(world.clock().Monotonic(), absl::Milliseconds(5));
  EXPECT_FALSE(world.RunUntil([&] { return second; }, absl::Milliseconds(3)));
  EXPECT_TRUE(world.RunUntil([&] { return second; }, absl::Milliseconds(5)));
}

TEST(World, OnlyTheRunningExecutorIsCurrent) {
  World world(1);
  std::unique_ptr<Executor> one = world.NewExecutor("one");
  std::unique_ptr<Executor> two = world.NewExecutor("two");
  bool ran = false;
  one->Post([&] {
    EXPECT_TRUE(one->IsCurrent());
    EXPECT_FALSE(two->IsCurrent());
    ran = true;
  });
  EXPECT_TRUE(world.RunUntilIdle(10));
  EXPECT_TRUE(ran);
  EXPECT_FALSE(one->IsCurrent());
}

TEST(World, AKilledExecutorDropsWhatWaitsAndTakesNothing) {
  World world(1);
  std::unique_ptr<Executor> executor = world.NewExecutor("a");
  std::unique_ptr<Executor> other = world.NewExecutor("b");
  auto token = std::make_shared<int>(0);
  executor->Post([token] { ++*token; });
  executor->PostAt(absl::Milliseconds(1), [token] { ++*token; });
  other->Post([token] { *token += 100; });
  world.Kill(*executor);
  executor->Post([token] { ++*token; });
  executor->PostAt(absl::Milliseconds(1), [token] { ++*token; });
  EXPECT_TRUE(world.RunUntilIdle(10));
  EXPECT_EQ(*token, 100);
  EXPECT_EQ(token.use_count(), 1);
}

TEST(World, AStalledExecutorRunsNothingForAWhileAndThenAllInOrder) {
  World world(1);
  std::unique_ptr<Executor> executor = world.NewExecutor("a");
  std::unique_ptr<Executor> other = world.NewExecutor("b");
  std::vector<std::string> ran;
  auto note = [&](const std::string& what) {
    return [&, what] {
      ran.push_back(
          absl::StrCat(what, world.clock().Monotonic() < absl::Seconds(9) ? "" : " late"));
    };
  };
  executor->Post(note("1"));
  world.Stall(*executor, absl::Seconds(9));
  executor->Post(note("2"));
  executor->PostAt(absl::Seconds(1), note("timer"));
  other->PostAt(absl::Seconds(2), note("other"));
  EXPECT_TRUE(world.RunUntilIdle(4));
  EXPECT_EQ(ran.size(), 4u);
  EXPECT_EQ(ran[0], "other");
  EXPECT_THAT(ran, testing::IsSupersetOf({"1 late", "2 late", "timer late"}));
  EXPECT_LT(std::find(ran.begin(), ran.end(), "1 late"),
            std::find(ran.begin(), ran.end(), "2 late"));
}

TEST(World, ADestroyedExecutorsTasksDoNotRun) {
  World world(1);
  bool ran = false;
  world.NewExecutor("a")->Post([&] { ran = true; });
  EXPECT_TRUE(world.RunUntilIdle(10));
  EXPECT_FALSE(ran);
}

class CrashTest : public testing::Test {
 protected:
  CrashTest() {
    world_.SetOnCrash([this](const std::string& node, const SimulatedCrash& crash) {
      crashes_.push_back(absl::StrCat(node, ": ", crash.reason()));
    });
  }
  World world_{1};
  ScopedCrashHandlers handlers_{world_.random()};
  std::vector<std::string> crashes_;
};

TEST_F(CrashTest, AFailPointEndsAllExecutorsOfItsNodeAndNoOther) {
  std::unique_ptr<Executor> journal = world_.NewExecutor("journal", "n1");
  std::unique_ptr<Executor> store = world_.NewExecutor("store", "n1");
  std::unique_ptr<BlockingRunner> disk =
      world_.NewBlockingRunner("disk", absl::Seconds(1), absl::Seconds(2), "n1");
  std::unique_ptr<Executor> client = world_.NewExecutor("client", "n2");
  std::vector<std::string> ran;
  handlers_.CrashAt("env.place", 2);
  for (int i = 1; i <= 3; ++i) {
    journal->Post([&, i] {
      FAIL_POINT("env.place");
      ran.push_back(absl::StrCat("journal ", i));
    });
  }
  store->PostAt(absl::Seconds(1), [&] { ran.push_back("store"); });
  disk->Run([&] { ran.push_back("disk"); });
  client->PostAt(absl::Seconds(3), [&] { ran.push_back("client"); });
  EXPECT_TRUE(world_.RunUntilIdle(100));
  EXPECT_THAT(ran, ElementsAre("journal 1", "client"));
  EXPECT_THAT(crashes_, ElementsAre("n1: env.place"));
  EXPECT_EQ(handlers_.passes().at("env.place"), 2);
}

TEST_F(CrashTest, TheNodeMayBeStartedAgainByTheHook) {
  std::unique_ptr<Executor> executor = world_.NewExecutor("a", "n1");
  bool restarted = false;
  world_.SetOnCrash([&](const std::string& node, const SimulatedCrash& crash) {
    EXPECT_EQ(crash.kind(), CrashKind::kFatal);
    executor = world_.NewExecutor("a", node);
    executor->Post([&] { restarted = true; });
  });
  executor->Post([] { Fatal("fdatasync /data: Input/output error"); });
  EXPECT_TRUE(world_.RunUntilIdle(10));
  EXPECT_TRUE(restarted);
}

TEST_F(CrashTest, AFailedCheckReachesTheTest) {
  std::unique_ptr<Executor> executor = world_.NewExecutor("a", "n1");
  executor->Post([] { CHECK(1 + 1 == 3); });
  testing::internal::CaptureStderr();
  EXPECT_THROW(world_.RunOne(), SimulatedCrash);
  EXPECT_THAT(testing::internal::GetCapturedStderr(), testing::HasSubstr("1 + 1 == 3"));
  EXPECT_TRUE(crashes_.empty());
}

TEST_F(CrashTest, StartingANodeMayCrashToo) {
  EXPECT_TRUE(world_.RunAsNode("n1", [] {}));
  EXPECT_FALSE(world_.RunAsNode("n1", [] { Fatal("the disk is broken"); }));
  EXPECT_THAT(crashes_, ElementsAre("n1: the disk is broken"));
}

TEST_F(CrashTest, RandomCrashesHappenUntilDisarmed) {
  handlers_.CrashRandomly(4);
  int crashes = 0;
  for (int i = 0; i < 400; ++i) {
    crashes += world_.RunAsNode("n1", [] { FAIL_POINT("env.random"); }) ? 0 : 1;
  }
  EXPECT_GT(crashes, 50);
  EXPECT_LT(crashes, 200);
  handlers_.Disarm();
  for (int i = 0; i < 100; ++i) FAIL_POINT("env.random");
}

}  // namespace
}  // namespace tidemark::sim
