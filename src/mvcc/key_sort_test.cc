#include "src/mvcc/key_sort.h"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <string>

#include "src/base/thread_pool.h"

namespace tidemark::mvcc {
namespace {

std::vector<std::string> Sorted(const std::set<std::string>& keys, ParallelRunner& workers) {
  // Dealt out as a hash table would.
  std::vector<std::string> shuffled(keys.begin(), keys.end());
  std::mt19937_64 random(keys.size());
  std::shuffle(shuffled.begin(), shuffled.end(), random);
  std::vector<KeyNode*> nodes;
  for (const std::string& key : shuffled) nodes.push_back(KeyNode::Create(key));
  std::vector<std::string> sorted;
  SortByKey(nodes, workers, [&](absl::Span<KeyNode* const> some) {
    for (KeyNode* node : some) sorted.emplace_back(node->key());
  });
  for (KeyNode* node : nodes) KeyNode::Destroy(node);
  return sorted;
}

void ExpectSorted(const std::set<std::string>& keys) {
  const std::vector<std::string> expected(keys.begin(), keys.end());
  InlineParallelRunner alone;
  ThreadPool several("sort", 3);
  EXPECT_TRUE(Sorted(keys, alone) == expected) << keys.size() << " keys";
  EXPECT_TRUE(Sorted(keys, several) == expected) << keys.size() << " keys, threads";
}

TEST(KeySort, FewKeys) {
  ExpectSorted({});
  ExpectSorted({"a"});
  ExpectSorted({"b", "a", std::string("a\0", 2), "\xff", std::string("\0", 1), "aaaaaaaaa"});
}

// Long common beginnings, of several lengths: the windows behind them decide.
TEST(KeySort, KeysOfKubernetes) {
  std::set<std::string> keys;
  for (int i = 0; i < 60000; ++i) {
    keys.insert("/registry/pods/namespace-" + std::to_string(i % 97) + "/deployment-7d9c6b8f5-" +
                std::to_string(i));
    if (i % 20 == 0) keys.insert("/registry/configmaps/" + std::to_string(i));
  }
  ExpectSorted(keys);
}

// Keys that end inside a window, zeros and 0xFF among them, and keys that begin other keys.
TEST(KeySort, AnyBytes) {
  std::mt19937_64 random(1);
  std::set<std::string> keys;
  while (keys.size() < 50000) {
    std::string key = random() % 2 == 0 ? "prefix/" : "";
    for (uint64_t n = random() % 14; n > 0; --n) key += "\0\x01\x7f\x80\xff"[random() % 5];
    if (!key.empty()) keys.insert(key);
    if (key.size() > 1) keys.insert(key.substr(0, key.size() - 1));
  }
  ExpectSorted(keys);
}

}  // namespace
}  // namespace tidemark::mvcc
