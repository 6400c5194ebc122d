#include "src/mvcc/interval_map.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <vector>

namespace tidemark::mvcc {
namespace {

// All ranges over keys of at most two letters out of {a, b}, and to infinity.
std::vector<KeyRange> AllRanges(const std::vector<std::string>& keys) {
  std::vector<KeyRange> ranges;
  for (const std::string& begin : keys) {
    KeyRange range;
    range.begin = begin;
    for (const std::string& end : keys) {
      if (begin >= end) continue;
      range.end = end;
      ranges.push_back(range);
    }
    range.end.clear();
    range.to_infinity = true;
    ranges.push_back(range);
  }
  return ranges;
}

const std::vector<std::string> kKeys = {"", "a", "aa", "ab", "b", "ba", "bb"};

void ExpectEqual(const IntervalMap<uint64_t>& map, const std::map<uint64_t, KeyRange>& model) {
  map.CheckInvariants();
  ASSERT_EQ(map.size(), model.size());
  for (const std::string& key : kKeys) {
    std::multimap<std::pair<std::string, uint64_t>, uint64_t> expected;
    for (const auto& [id, range] : model) {
      if (range.view().Contains(key)) expected.insert({{range.begin, id}, id});
    }
    std::vector<uint64_t> in_order;
    for (const auto& [order, id] : expected) in_order.push_back(id);
    std::vector<uint64_t> found;
    map.Stab(key, [&](uint64_t id) { found.push_back(id); });
    ASSERT_EQ(found, in_order) << "key " << key;
  }
}

TEST(IntervalMapTest, EverySetOfUpToThreeRanges) {
  const std::vector<KeyRange> ranges = AllRanges(kKeys);
  for (size_t a = 0; a < ranges.size(); ++a) {
    for (size_t b = 0; b < ranges.size(); ++b) {
      for (size_t c = 0; c < ranges.size(); c += 3) {
        IntervalMap<uint64_t> map;
        std::map<uint64_t, KeyRange> model = {{1, ranges[a]}, {2, ranges[b]}, {3, ranges[c]}};
        for (const auto& [id, range] : model) map.Insert(range, id, id);
        ASSERT_NO_FATAL_FAILURE(ExpectEqual(map, model));
        map.Erase(ranges[b], 2);
        model.erase(2);
        ASSERT_NO_FATAL_FAILURE(ExpectEqual(map, model));
      }
    }
  }
}

TEST(IntervalMapTest, RandomInsertsAndErases) {
  const std::vector<KeyRange> ranges = AllRanges(kKeys);
  std::mt19937_64 random(7);
  IntervalMap<uint64_t> map;
  std::map<uint64_t, KeyRange> model;
  for (uint64_t id = 1; id <= 3000; ++id) {
    const KeyRange& range = ranges[random() % ranges.size()];
    map.Insert(range, id, id);
    model.emplace(id, range);
    while (model.size() > random() % 60) {
      auto it = std::next(model.begin(), static_cast<ptrdiff_t>(random() % model.size()));
      map.Erase(it->second, it->first);
      model.erase(it);
    }
    ASSERT_NO_FATAL_FAILURE(ExpectEqual(map, model));
  }
}

}  // namespace
}  // namespace tidemark::mvcc
