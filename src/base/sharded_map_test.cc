#include "src/base/sharded_map.h"

#include <map>
#include <random>

#include "gtest/gtest.h"

namespace tidemark {
namespace {

TEST(ShardedMapTest, DoesWhatAMapDoes) {
  std::mt19937_64 random(1);
  ShardedMap<uint64_t, int> map;
  std::map<uint64_t, int> model;
  for (int i = 0; i < 100'000; ++i) {
    const uint64_t key = random() % 5'000;
    switch (random() % 3) {
      case 0:
        EXPECT_EQ(map.Insert(key, i), model.try_emplace(key, i).second);
        break;
      case 1:
        EXPECT_EQ(map.Erase(key), model.erase(key) > 0);
        break;
      default:
        ASSERT_EQ(map.contains(key), model.contains(key));
        if (int* value = map.Find(key)) *value = model.at(key) = i;
    }
    ASSERT_EQ(map.size(), model.size());
  }
  std::map<uint64_t, int> found;
  std::as_const(map).ForEach([&](uint64_t key, int value) { found[key] = value; });
  EXPECT_EQ(found, model);
}

// Keys that nobody chose for it: counted up, or with nothing but high bits.
TEST(ShardedMapTest, NoTableIsMuchLargerThanTheOthers) {
  for (const int shift : {0, 12, 40}) {
    ShardedMap<uint64_t, int> map;
    constexpr uint64_t kKeys = 100'000;
    for (uint64_t i = 0; i < kKeys; ++i) map.Insert(i << shift, 0);
    EXPECT_LT(map.LargestShard(), 2 * kKeys / map.kShards) << shift;
  }
}

}  // namespace
}  // namespace tidemark
