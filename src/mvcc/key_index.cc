#include "src/mvcc/key_index.h"

#include "src/base/check.h"

namespace tidemark::mvcc {

KeyIndex::KeyIndex() : shards_(kShards) {}

KeyIndex::~KeyIndex() { Clear(); }

void KeyIndex::Clear() {
  for (Shard& shard : shards_) shard.clear();
  for (KeyNode* node : ordered_) KeyNode::Destroy(node);
  ordered_.clear();
  key_bytes_ = 0;
}

KeyNode* KeyIndex::FindOrCreate(absl::string_view key) {
  const size_t hash = HashOf(key);
  Shard& shard = shards_[ShardOf(hash)];
  auto it = shard.find(Hashed{key, hash});
  if (it != shard.end()) return *it;
  KeyNode* node = KeyNode::Create(key);
  shard.insert(node);
  CHECK(ordered_.insert(node).second);
  key_bytes_ += static_cast<int64_t>(key.size());
  return node;
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
