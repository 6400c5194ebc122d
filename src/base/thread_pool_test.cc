#include "src/base/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <vector>

namespace tidemark {
namespace {

TEST(ThreadPool, RunsEachPieceOnce) {
  ThreadPool pool("pool", 3);
  for (size_t count : {0, 1, 2, 1000}) {
    std::vector<std::atomic<int>> runs(count);
    pool.ForEach(count, [&](size_t i) { ++runs[i]; });
    for (const std::atomic<int>& run : runs) EXPECT_EQ(run, 1);
  }
}

TEST(ThreadPool, RunsPiecesSideBySide) {
  ThreadPool pool("pool", 2);
  std::latch all_there(3);  // two threads and the caller; hangs if one comes after another
  pool.ForEach(3, [&](size_t) { all_there.arrive_and_wait(); });
}

TEST(ThreadPool, JobsCutTheirWorkIntoPieces) {
  ThreadPool pool("pool", 2);
  constexpr int kJobs = 8;
  std::atomic<int> pieces{0};
  std::latch ended(kJobs);
  for (int job = 0; job < kJobs; ++job) {
    pool.Start([&] {
      pool.ForEach(100, [&](size_t) { ++pieces; });
      ended.count_down();
    });
  }
  ended.wait();
  EXPECT_EQ(pieces, kJobs * 100);
}

// What a piece wrote is seen by whoever waited for it (ThreadSanitizer looks at this one).
TEST(ThreadPool, PiecesHappenBeforeTheReturn) {
  ThreadPool pool("pool", 3);
  for (int round = 0; round < 200; ++round) {
    std::vector<int> plain(16, 0);
    pool.ForEach(plain.size(), [&](size_t i) { plain[i] = round; });
    EXPECT_EQ(plain, std::vector<int>(16, round));
  }
}

TEST(ThreadPool, EndsWhatRunsAndDropsTheRest) {
  std::atomic<bool> began{false};
  std::atomic<int> ended{0};
  auto dropped = std::make_shared<int>(0);
  std::weak_ptr<int> watched = dropped;
  {
    ThreadPool pool("pool", 1);
    std::latch running(1);
    pool.Start([&] {
      began = true;
      running.count_down();
      pool.ForEach(10, [&](size_t) { ++ended; });
    });
    running.wait();
    for (int i = 0; i < 3; ++i) pool.Start([kept = dropped] {});
    dropped.reset();
  }
  EXPECT_TRUE(began);
  EXPECT_EQ(ended, 10);
  EXPECT_TRUE(watched.expired());
}

}  // namespace
}  // namespace tidemark
