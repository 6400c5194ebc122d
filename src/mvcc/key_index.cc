#include "src/mvcc/key_index.h"

#include <utility>

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

KeyNode* KeyIndex::FindOrCreate(absl::string_view key) {
  const size_t hash = HashOf(key);
  Shard& shard = shards_[ShardOf(hash)];
  KeyNode* created = nullptr;
  KeyNode* node = *shard.lazy_emplace(Hashed{key, hash}, [&](const Shard::constructor& construct) {
    construct(created = KeyNode::Create(key));
  });
  if (created == nullptr) return node;
  CHECK(ordered_.insert(node).second);
  key_bytes_ += static_cast<int64_t>(key.size());
  return node;
}

KeyNode* KeyIndex::AddToShard(size_t shard, size_t hash, KeyNode::Owned node) {
  const Candidate candidate{node.get(), hash};
  return *shards_[shard].lazy_emplace(
      candidate, [&](const Shard::constructor& construct) { construct(node.release()); });
}

void KeyIndex::Order(ParallelRunner& workers, LoadProgress& progress) {
  CHECK(ordered_.empty());
  std::vector<KeyNode*> nodes;
  size_t count = 0;
  for (const Shard& shard : shards_) count += shard.size();
  nodes.reserve(count);
  for (const Shard& shard : shards_) nodes.insert(nodes.end(), shard.begin(), shard.end());
  size_t parts = 0;
  SortByKey(std::move(nodes), workers, [&](absl::Span<KeyNode* const> sorted) {
    constexpr size_t kAhead = 16;
    for (size_t i = 0; i < sorted.size(); ++i) {
      if (i + kAhead < sorted.size()) sorted[i + kAhead]->Prefetch();
      ordered_.insert(ordered_.end(), sorted[i]);
      key_bytes_ += static_cast<int64_t>(sorted[i]->key().size());
    }
    for (; parts * count < ordered_.size() * kShards; ++parts) progress.AddIndexedPart();
  });
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
