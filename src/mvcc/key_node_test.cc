#include "src/mvcc/key_node.h"

#include <gtest/gtest.h>

#include <deque>
#include <random>

namespace tidemark::mvcc {
namespace {

Version At(int64_t main) {
  return Version(Revision(main), main % 7 == 0, Location(1, static_cast<size_t>(main % 1000) * 8));
}

TEST(KeyNodeTest, HoldsWhatAListHolds) {
  std::mt19937_64 random(1);
  KeyNode::Owned node(KeyNode::Create("key"));
  std::deque<int64_t> model;
  int64_t next = 1;
  for (int i = 0; i < 20000; ++i) {
    const bool grows = i / 500 % 2 == 0;
    if (random() % 4 < (grows ? 3 : 1)) {
      node->PushBack(At(next));
      model.push_back(next++);
    } else {
      const size_t erased = std::min<size_t>(random() % 4, model.size());
      node->EraseFront(static_cast<uint32_t>(erased));
      model.erase(model.begin(), model.begin() + static_cast<ptrdiff_t>(erased));
    }
    ASSERT_EQ(node->versions().size(), model.size());
    for (size_t v = 0; v < model.size(); ++v) {
      ASSERT_EQ(node->versions()[v].main(), Revision(model[v]));
      ASSERT_EQ(node->versions()[v].location(), At(model[v]).location());
    }
    const Revision at(next - static_cast<int64_t>(random() % 20));
    const size_t up_to = static_cast<size_t>(std::count_if(
        model.begin(), model.end(), [&](int64_t main) { return Revision(main) <= at; }));
    ASSERT_EQ(node->CountUpTo(at), up_to);
    ASSERT_EQ(node->NewestAt(at) == nullptr, up_to == 0);
  }
  EXPECT_EQ(node->key(), "key");
}

// A lease object has a version every few seconds: what it costs to let go of many must not grow
// with their square, however few go at a time.
TEST(KeyNodeTest, TakingManyAwayAFewAtATimeMovesEachAboutOnce) {
  constexpr uint32_t kVersions = 200000;
  KeyNode::Owned node(KeyNode::Create("key"));
  for (uint32_t i = 1; i <= kVersions; ++i) node->PushBack(At(i));
  size_t moved = 0;
  while (node->versions().size() > 1) {
    const Version* const before = node->versions().data();
    const uint32_t erased =
        std::min<uint32_t>(256, static_cast<uint32_t>(node->versions().size()) - 1);
    node->EraseFront(erased);
    if (node->versions().data() != before + erased) moved += node->versions().size();
  }
  EXPECT_EQ(node->newest()->main(), Revision(kVersions));
  EXPECT_LE(moved, size_t{2} * kVersions);
}

}  // namespace
}  // namespace tidemark::mvcc
