#include "src/partition/removal_queue.h"

#include <gtest/gtest.h>

#include <memory>
#include <utility>
#include <vector>

#include "src/kvstore/replica_harness_for_test.h"

namespace tidemark::partition {
namespace {

class RemovalQueueTest : public ::testing::Test {
 protected:
  RemovalQueueTest() {
    auto replica = kvstore::Replica::Create({.partition = kSystemPartition, .origin = OriginId(7)},
                                            executor_, clock_, journal_, memory_, nullptr);
    CHECK(replica->store().StartEmpty().ok());
    replica->Start({});
    parts_.Add(std::move(replica));
    queue_ = std::make_unique<RemovalQueue>(parts_, executor_, [this] { ++freed_; });
  }
  void Add() {
    queue_->Add(mvcc::kNeverCompacted, RemovalQueue::Pace::kBesideOthers, true,
                [this] { ++done_; });
  }
  void Walk() {
    queue_->Walk([this](Task walked) { walking_.push_back(std::move(walked)); });
  }
  void EndWalk() {
    Task walked = std::move(walking_.front());
    walking_.erase(walking_.begin());
    walked();
  }

  kvstore::ManualExecutor executor_;
  kvstore::ManualClock clock_;
  kvstore::FakeJournal journal_;
  HeapMapper memory_;
  Parts parts_{PartitionMap::Single()};
  std::unique_ptr<RemovalQueue> queue_;
  std::vector<Task> walking_;
  int done_ = 0;
  int freed_ = 0;
};

TEST_F(RemovalQueueTest, ARemovalWaitsForTheWalksBeforeItAndNoWalkForOneThatRuns) {
  Walk();
  Add();
  Walk();
  executor_.RunAll();
  EXPECT_EQ(done_, 0);
  EXPECT_EQ(walking_.size(), 1);
  EndWalk();
  EXPECT_EQ(walking_.size(), 1);  // the second, beside the removal
  executor_.RunAll();
  EXPECT_EQ(done_, 1);
}

TEST_F(RemovalQueueTest, WhatComesMeanwhileJoins) {
  for (int i = 0; i < 5; ++i) Add();
  executor_.RunAll();
  EXPECT_EQ(done_, 5);
  EXPECT_EQ(freed_, 2);
}

TEST_F(RemovalQueueTest, OnlySoManyWalksAtATime) {
  for (size_t i = 0; i < RemovalQueue::kWalksMax + 3; ++i) Walk();
  EXPECT_EQ(walking_.size(), RemovalQueue::kWalksMax);
  EndWalk();
  EXPECT_EQ(walking_.size(), RemovalQueue::kWalksMax);
  Add();
  executor_.RunAll();
  EXPECT_EQ(done_, 0);
  while (!walking_.empty()) EndWalk();
  executor_.RunAll();
  EXPECT_EQ(done_, 1);
}

}  // namespace
}  // namespace tidemark::partition
