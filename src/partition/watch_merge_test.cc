#include "src/partition/watch_merge.h"

#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tidemark::partition {
namespace {

using mvcc::Event;
using ::testing::ElementsAre;

mvcc::EventBatchPtr Batch(std::vector<std::pair<int64_t, int64_t>> revisions) {
  std::vector<Event> events;
  for (auto [main, sub] : revisions) {
    Event event;
    event.revision = {Revision(main), sub};
    event.kv = SharedBytes::Copy("kv");
    events.push_back(std::move(event));
  }
  return mvcc::MakeEventBatch(std::move(events), false);
}

std::vector<std::pair<int64_t, int64_t>> Revisions(const WatchMerge::Group& group) {
  std::vector<std::pair<int64_t, int64_t>> out;
  for (const Event& event : group.batch->events()) {
    out.emplace_back(event.revision.main.value(), event.revision.sub);
  }
  return out;
}

TEST(WatchMerge, HoldsBackAboveTheSmallestFloor) {
  WatchMerge merge(2, Revision(5), false);
  merge.OnEvents(0, Batch({{6, 0}}), Revision(6));
  EXPECT_FALSE(merge.Next().has_value());
  EXPECT_EQ(merge.released(), Revision(4));
  merge.OnFloor(1, Revision(5));
  EXPECT_FALSE(merge.Next().has_value());
  EXPECT_EQ(merge.released(), Revision(5));
  merge.OnFloor(1, Revision(6));
  const auto group = merge.Next();
  ASSERT_TRUE(group.has_value());
  EXPECT_THAT(Revisions(*group), ElementsAre(std::pair(6, 0)));
  EXPECT_EQ(group->header_revision, Revision(6));
  EXPECT_EQ(merge.released(), Revision(6));
}

TEST(WatchMerge, OneRevisionOfTwoPartsIsOneGroupInSubOrder) {
  WatchMerge merge(2, Revision(2), false);
  merge.OnEvents(0, Batch({{7, 0}, {7, 2}}), Revision(7));
  merge.OnEvents(1, Batch({{7, 1}, {7, 3}}), Revision(7));
  const auto group = merge.Next();
  ASSERT_TRUE(group.has_value());
  EXPECT_THAT(Revisions(*group),
              ElementsAre(std::pair(7, 0), std::pair(7, 1), std::pair(7, 2), std::pair(7, 3)));
  EXPECT_EQ(group->used.size(), 2u);
  EXPECT_FALSE(merge.Next().has_value());
}

TEST(WatchMerge, LiveRevisionsGoOneByOneHistoryTogether) {
  WatchMerge merge(2, Revision(2), false);
  merge.OnEvents(0, Batch({{3, 0}, {5, 0}}), Revision(9));
  merge.OnEvents(1, Batch({{4, 0}, {8, 0}}), Revision(9));
  merge.OnFloor(0, Revision(9));
  merge.OnFloor(1, Revision(9));
  merge.OnEvents(0, Batch({{10, 0}}), Revision(10));
  merge.OnEvents(0, Batch({{11, 0}}), Revision(11));
  merge.OnFloor(1, Revision(11));
  auto group = merge.Next();
  ASSERT_TRUE(group.has_value());
  EXPECT_THAT(Revisions(*group),
              ElementsAre(std::pair(3, 0), std::pair(4, 0), std::pair(5, 0), std::pair(8, 0)));
  EXPECT_EQ(group->header_revision, Revision(9));
  group = merge.Next();
  ASSERT_TRUE(group.has_value());
  EXPECT_THAT(Revisions(*group), ElementsAre(std::pair(10, 0)));
  group = merge.Next();
  ASSERT_TRUE(group.has_value());
  EXPECT_THAT(Revisions(*group), ElementsAre(std::pair(11, 0)));
}

TEST(WatchMerge, CutsABatchAtTheFloorAndCountsItsBytesOnce) {
  WatchMerge merge(2, Revision(2), false);
  const auto batch = Batch({{3, 0}, {6, 0}});
  merge.OnEvents(0, batch, Revision(9));
  merge.OnFloor(1, Revision(4));
  auto group = merge.Next();
  ASSERT_TRUE(group.has_value());
  EXPECT_THAT(Revisions(*group), ElementsAre(std::pair(3, 0)));
  EXPECT_TRUE(group->used.empty());
  merge.OnFloor(1, Revision(6));
  group = merge.Next();
  ASSERT_TRUE(group.has_value());
  EXPECT_THAT(group->used, ElementsAre(std::pair<size_t, size_t>(0, batch->encoded_size_bytes())));
}

}  // namespace
}  // namespace tidemark::partition
