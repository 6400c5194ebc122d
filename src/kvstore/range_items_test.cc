#include "src/kvstore/range_items.h"

#include <algorithm>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"

namespace tidemark::kvstore {
namespace {

using ::testing::ElementsAreArray;
using ::testing::SizeIs;

RangeItem Item(int key) {
  RangeItem item;
  item.wire = SharedBytes::Own(absl::StrCat(100000 + key, std::string(key % 300, 'v')));
  item.key = item.wire.view().substr(0, 6);
  return item;
}

RangeItems List(int begin, int end) {
  RangeItems items;
  for (int key = begin; key < end; ++key) items.Append(Item(key));
  return items;
}

std::vector<std::string> Keys(const RangeItems& items) {
  std::vector<std::string> keys;
  for (const RangeItem& item : items) keys.emplace_back(item.key);
  return keys;
}

// The sum is that of what is there, and pieces are of bounded size.
void Check(RangeItems items) {
  size_t left_items = items.size(), left = items.message_bytes();
  while (!items.empty()) {
    const RangeItems::Piece piece = items.TakePiece();
    ASSERT_FALSE(piece.items.empty());
    ASSERT_LE(piece.items.size(), RangeItems::kPieceItems);
    for (const RangeItem& item : piece.items) {
      left -= 1 + (item.wire.size() < 128 ? 1 : 2) + item.wire.size();
    }
    left_items -= piece.items.size();
    ASSERT_EQ(left_items, items.size());
    ASSERT_EQ(left, items.message_bytes());
  }
  ASSERT_EQ(left_items, 0u);
}

TEST(RangeItemsTest, TakesAndPutsTogetherAnyNumber) {
  for (const size_t size : {0, 1, 2, 255, 256, 257, 511, 512, 513, 2000}) {
    for (const size_t taken_size : {0, 1, 255, 256, 257, 600, 1999, 2000, 3000}) {
      SCOPED_TRACE(absl::StrCat(taken_size, " of ", size));
      RangeItems items = List(0, static_cast<int>(size));
      RangeItems taken = items.Take(taken_size);
      EXPECT_THAT(taken, SizeIs(std::min(size, taken_size)));
      EXPECT_THAT(items, SizeIs(size - taken.size()));
      if (!taken.empty() && !items.empty()) {
        EXPECT_LT(taken.back().key, items.front().key);
      }
      taken.Append(std::move(items));
      EXPECT_EQ(Keys(taken), Keys(List(0, static_cast<int>(size))));
      Check(std::move(taken));
    }
  }
}

TEST(RangeItemsTest, TruncateKeepsTheFront) {
  RangeItems items = List(0, 700);
  items.Truncate(900);
  EXPECT_THAT(items, SizeIs(700));
  items.Truncate(300);
  EXPECT_EQ(Keys(items), Keys(List(0, 300)));
  Check(std::move(items));
}

TEST(RangeItemsTest, TakeBelowEndsBeforeTheKey) {
  for (const int end : {0, 1, 255, 256, 257, 300, 511, 512, 1000, 2000}) {
    SCOPED_TRACE(end);
    RangeItems items = List(0, 1000);
    const RangeItem bound = Item(end);
    RangeItems below = items.TakeBelow(bound.key);
    EXPECT_EQ(Keys(below), Keys(List(0, std::min(end, 1000))));
    EXPECT_EQ(Keys(items), Keys(List(std::min(end, 1000), 1000)));
    Check(std::move(below));
    Check(std::move(items));
  }
}

TEST(RangeItemsTest, MergeIsSorting) {
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    std::vector<RangeItems> lists(1 + random() % 6);
    std::vector<std::string> expected;
    const uint64_t longest_run = seed % 2 == 0 ? 3 : 700;
    for (int key = 0; key < 3000;) {
      RangeItems& list = lists[random() % lists.size()];
      for (uint64_t run = random() % longest_run; run > 0; --run) {
        list.Append(Item(key));
        expected.emplace_back(list.back().key);
        ++key;
      }
    }
    RangeItems merged = MergeByKey(std::move(lists));
    EXPECT_THAT(Keys(merged), ElementsAreArray(expected));
    Check(std::move(merged));
  }
}

}  // namespace
}  // namespace tidemark::kvstore
