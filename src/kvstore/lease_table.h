// The leases that this partition knows, and the partition's keys attached to each.
//
// Hides nothing clever: which lease a key has is in the store; this is the way back from a lease
// to its keys. TTLs are here for checkpoints only: the clock is the Lessor's. Changed only by
// applying entries, so it is the same on every replica.
// Sequence-bound.
//
// Invariants:
//  1. A key is attached to at most one lease, the one its newest version names.
//  2. A lease with attached keys exists.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/strings/string_view.h"
#include "src/base/ids.h"
#include "src/base/sharded_map.h"
#include "src/kvstore/node_state.h"

namespace tidemark::kvstore {

class LeaseTable {
 public:
  void Grant(LeaseId id, int64_t ttl_seconds);
  // What the journal knows of the remaining time; 0: the full TTL again. Ignores unknown leases.
  void SetRemaining(LeaseId id, int64_t remaining_seconds);
  // REQUIRES that no key is attached any more.
  void Revoke(LeaseId id);
  bool Exists(LeaseId id) const { return leases_.contains(id); }
  size_t size() const { return leases_.size(); }

  // The key's lease changed from `from` to `to` (0: none) by a put or, with to 0, a delete.
  void Move(absl::string_view key, LeaseId from, LeaseId to);
  std::vector<std::string> Keys(LeaseId id) const;  // sorted
  bool IsAttached(LeaseId id, absl::string_view key) const;

  size_t attached_count() const { return attached_count_; }
  int64_t heap_bytes() const;              // estimated
  std::vector<LeaseState> States() const;  // in no order

 private:
  struct Lease {
    int64_t ttl_seconds = 0;
    int64_t remaining_seconds = 0;
    absl::btree_set<std::string> keys;
  };
  // One table would grow all at once, and in every partition by the same grant.
  ShardedMap<LeaseId, Lease> leases_;
  size_t attached_count_ = 0;
  int64_t attached_key_bytes_ = 0;
};

}  // namespace tidemark::kvstore
