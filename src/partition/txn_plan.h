// What a transaction touches, partition by partition.
//
// Hides the walk over nested branches. Points into the request, which must outlive it.
// Immutable after construction; thread-safe to read.
//
// Invariants:
//  1. The scopes cover both branches: holds are taken before the compares are known.
#pragma once

#include <vector>

#include "absl/container/btree_map.h"
#include "proto/rpc.pb.h"
#include "src/base/ids.h"
#include "src/kvstore/replica.h"
#include "src/partition/partition_map.h"

namespace tidemark::partition {

// The partitions whose keys an operation of a decided path may touch, ascending.
std::vector<PartitionId> OwnersOf(const PartitionMap& map, const kvstore::PlannedOp& op);
std::vector<PartitionId> OwnersOf(const PartitionMap& map, const etcdserverpb::Compare& compare);

class TxnPlan {
 public:
  // REQUIRES a request that passed kvstore::CheckTxn (this bounds the recursion).
  TxnPlan(const PartitionMap& map, const etcdserverpb::TxnRequest& request);

  // Ascending; the system partition for a txn that names no key.
  const std::vector<PartitionId>& partitions() const { return partitions_; }
  kvstore::Scope scope(PartitionId id) const;
  // Of every level and both branches.
  const std::vector<const etcdserverpb::Compare*>& compares() const { return compares_; }

 private:
  using Ops = google::protobuf::RepeatedPtrField<etcdserverpb::RequestOp>;
  void Walk(const etcdserverpb::TxnRequest& txn);
  void WalkOps(const Ops& ops);

  const PartitionMap& map_;
  absl::btree_map<PartitionId, kvstore::Scope> scopes_;
  std::vector<PartitionId> partitions_;
  std::vector<const etcdserverpb::Compare*> compares_;
};

}  // namespace tidemark::partition
