// The keys of a store, found by hash (point reads and writes) and in order (ranges).
//
// Hides the two structures over one set of nodes. The hash side is cut into shards so that growing
// it never stops a write for longer than one shard takes.
// Sequence-bound. Nodes stay where they are until erased.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_set.h"
#include "absl/hash/hash.h"
#include "absl/strings/string_view.h"
#include "src/base/load_progress.h"
#include "src/base/parallel_runner.h"
#include "src/mvcc/key_node.h"
#include "src/mvcc/key_range.h"

namespace tidemark::mvcc {

class KeyIndex {
 public:
  KeyIndex();
  ~KeyIndex();
  KeyIndex(const KeyIndex&) = delete;
  KeyIndex& operator=(const KeyIndex&) = delete;

  KeyNode* Find(absl::string_view key) const {
    const size_t hash = HashOf(key);
    const Shard& shard = shards_[ShardOf(hash)];
    auto it = shard.find(Hashed{key, hash});
    return it == shard.end() ? nullptr : *it;
  }
  KeyNode* FindOrCreate(absl::string_view key);
  void Erase(KeyNode* node);
  void Clear();

  // Visits nodes in key order from the range's begin until the visitor returns false.
  template <typename Visitor>
  void Visit(const KeyRangeView& range, Visitor visitor) const {
    if (range.Empty()) return;
    if (range.single) {
      if (KeyNode* node = Find(range.begin); node != nullptr) visitor(*node);
      return;
    }
    for (auto it = ordered_.lower_bound(range.begin); it != ordered_.end(); ++it) {
      if (!range.to_infinity && (*it)->key() >= range.end) return;
      if (!visitor(**it)) return;
    }
  }

  size_t size() const { return ordered_.size(); }
  int64_t key_bytes() const { return key_bytes_; }  // of all keys
  void CheckInvariants() const;

  // --- Filling an empty index at once, on several threads: each shard by one of them, then Order,
  // before anything else.
  static constexpr size_t kShards = 1024;
  static size_t HashOf(absl::string_view key) { return absl::Hash<absl::string_view>()(key); }
  // The table below uses the low bits of the hash.
  static size_t ShardOf(size_t hash) { return (hash >> 48) % kShards; }
  void ReserveInShard(size_t shard, size_t keys) { shards_[shard].reserve(keys); }
  // The node of that key: `node`, unless there is one already. REQUIRES the key's hash and shard.
  KeyNode* AddToShard(size_t shard, size_t hash, KeyNode::Owned node);
  // Reports as many parts as there are shards.
  void Order(ParallelRunner& workers, LoadProgress& progress);

 private:
  // A key with its hash, so that a lookup hashes once.
  struct Hashed {
    absl::string_view key;
    size_t hash;
  };

  // A node that may come in, with its key's hash: the key is looked at only where another is alike.
  struct Candidate {
    const KeyNode* node;
    size_t hash;
  };

  struct Hash {
    using is_transparent = void;
    size_t operator()(const KeyNode* node) const { return HashOf(node->key()); }
    size_t operator()(const Hashed& hashed) const { return hashed.hash; }
    size_t operator()(const Candidate& candidate) const { return candidate.hash; }
  };
  struct Equal {
    using is_transparent = void;
    bool operator()(const KeyNode* a, const KeyNode* b) const { return a == b; }
    bool operator()(const KeyNode* a, const Hashed& b) const { return a->key() == b.key; }
    bool operator()(const Hashed& a, const KeyNode* b) const { return a.key == b->key(); }
    bool operator()(const KeyNode* a, const Candidate& b) const {
      return a->key() == b.node->key();
    }
  };
  struct Less {
    using is_transparent = void;
    bool operator()(const KeyNode* a, const KeyNode* b) const { return a->key() < b->key(); }
    bool operator()(const KeyNode* a, absl::string_view b) const { return a->key() < b; }
    bool operator()(absl::string_view a, const KeyNode* b) const { return a < b->key(); }
  };
  using Shard = absl::flat_hash_set<KeyNode*, Hash, Equal>;

  std::vector<Shard> shards_;
  absl::btree_set<KeyNode*, Less> ordered_;
  int64_t key_bytes_ = 0;
};

}  // namespace tidemark::mvcc
