#include "src/mvcc/key_index.h"

#include "src/base/check.h"
#include "src/mvcc/key_sort.h"

namespace tidemark::mvcc {

KeyIndex::KeyIndex() : shards_(kShards) {}

KeyIndex::~KeyIndex() { Clear(); }

void KeyIndex::Clear() {
  ordered_.clear();
  key_bytes_ = 0;
  for (Shard& shard : shards_) {
    for (KeyNode* node : shard) KeyNode::Destroy(node);
    shard.clear();
  }
}

KeyNode* KeyIndex::FindOrCreate(Shard& shard, const Hashed& hashed, bool* created) {
  return *shard.lazy_emplace(hashed, [&](const Shard::constructor& construct) {
    construct(KeyNode::Create(hashed.key));
    *created = true;
  });
}

KeyNode* KeyIndex::FindOrCreate(absl::string_view key) {
  const size_t hash = HashOf(key);
  bool created = false;
  KeyNode* node = FindOrCreate(shards_[ShardOf(hash)], Hashed{key, hash}, &created);
  if (!created) return node;
  CHECK(ordered_.insert(node).second);
  key_bytes_ += static_cast<int64_t>(key.size());
  return node;
}

void KeyIndex::Order(ParallelRunner& workers) {
  CHECK(ordered_.empty());
  std::vector<KeyNode*> nodes;
  size_t count = 0;
  for (const Shard& shard : shards_) count += shard.size();
  nodes.reserve(count);
  for (const Shard& shard : shards_) nodes.insert(nodes.end(), shard.begin(), shard.end());
  SortByKey(&nodes, workers);
  constexpr size_t kAhead = 16;
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (i + kAhead < nodes.size()) nodes[i + kAhead]->Prefetch();
    ordered_.insert(ordered_.end(), nodes[i]);
    key_bytes_ += static_cast<int64_t>(nodes[i]->key().size());
  }
  CHECK(ordered_.size() == count);
}

void KeyIndex::Erase(KeyNode* node) {
  CHECK(node->versions().empty() && !node->queued);
  CHECK(shards_[ShardOf(HashOf(node->key()))].erase(node) == 1);
  CHECK(ordered_.erase(node) == 1);
  key_bytes_ -= static_cast<int64_t>(node->key().size());
  KeyNode::Destroy(node);
}

void KeyIndex::CheckInvariants() const {
  size_t hashed = 0;
  for (const Shard& shard : shards_) hashed += shard.size();
  CHECK(hashed == ordered_.size());
  const KeyNode* last = nullptr;
  int64_t key_bytes = 0;
  for (const KeyNode* node : ordered_) {
    CHECK(last == nullptr || last->key() < node->key());
    CHECK(Find(node->key()) == node);
    CHECK(!node->versions().empty());
    key_bytes += static_cast<int64_t>(node->key().size());
    last = node;
  }
  CHECK(key_bytes == key_bytes_);
}

}  // namespace tidemark::mvcc
