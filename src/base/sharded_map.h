// A hash map of many small ones: a table that is full is made larger by itself, so an insertion
// moves a 256th of the elements at most, where one table would move a million at once.
//
// Hides the tables. Pointers to values are good until the next insertion or removal.
// Thread-compatible value.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/hash/hash.h"

namespace tidemark {

template <typename Key, typename Value>
class ShardedMap {
 public:
  static constexpr size_t kShards = 256;

  size_t size() const { return size_; }
  bool contains(const Key& key) const { return ShardOf(key).contains(key); }
  // nullptr when there is none.
  Value* Find(const Key& key) { return ValueIn(ShardOf(key), key); }
  const Value* Find(const Key& key) const { return ValueIn(ShardOf(key), key); }
  // False when there is one, which stays as it is.
  bool Insert(const Key& key, Value value) {
    const bool is_new = ShardOf(key).try_emplace(key, std::move(value)).second;
    size_ += is_new ? 1 : 0;
    return is_new;
  }
  bool Erase(const Key& key) {
    const bool was_there = ShardOf(key).erase(key) > 0;
    size_ -= was_there ? 1 : 0;
    return was_there;
  }
  size_t LargestShard() const {
    size_t largest = 0;
    for (const Shard& shard : shards_) largest = std::max(largest, shard.size());
    return largest;
  }
  // visit(key, value), in no order.
  template <typename Visit>
  void ForEach(Visit visit) {
    for (Shard& shard : shards_) {
      for (auto& [key, value] : shard) visit(key, value);
    }
  }
  template <typename Visit>
  void ForEach(Visit visit) const {
    for (const Shard& shard : shards_) {
      for (const auto& [key, value] : shard) visit(key, value);
    }
  }

 private:
  using Shard = absl::flat_hash_map<Key, Value>;

  template <typename AnyShard>
  static auto ValueIn(AnyShard& shard, const Key& key) -> decltype(&shard.begin()->second) {
    const auto found = shard.find(key);
    return found == shard.end() ? nullptr : &found->second;
  }
  // Not by the bits that order a table.
  static size_t Place(const Key& key) { return (absl::Hash<Key>()(key) >> 48) % kShards; }
  Shard& ShardOf(const Key& key) { return shards_[Place(key)]; }
  const Shard& ShardOf(const Key& key) const { return shards_[Place(key)]; }

  std::array<Shard, kShards> shards_;
  size_t size_ = 0;
};

}  // namespace tidemark
