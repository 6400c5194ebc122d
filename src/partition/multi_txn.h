// One write transaction or range delete over several partitions, from holds to answer
// (docs/design-notes.md, "Holds").
//
// Hides the cutting by partition and the putting together. Lives until its answer is given.
// Sequence-bound to the coordinator's home.
//
// Invariants:
//  1. Atomic: one entry carries all changes (X3, P4).
//  2. Subs follow the operations' order; inside one range delete the keys' order over partitions.
//  3. Every way out gives the holds back and answers once.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "proto/rpc.pb.h"
#include "src/kvstore/replica.h"
#include "src/kvstore/results.h"
#include "src/kvstore/txn_path.h"
#include "src/partition/coordinator.h"
#include "src/partition/router.h"
#include "src/partition/txn_plan.h"

namespace tidemark::partition {

class MultiTxn : public std::enable_shared_from_this<MultiTxn> {
 public:
  using Request = etcdserverpb::TxnRequest;
  using Done = ReplyCallback<kvstore::TxnResult>;

  // REQUIRES a checked request that writes. Entered into the coordinator by the caller; leaves by
  // itself.
  static void Run(Coordinator& coordinator, Request request, Done done);

 private:
  // This txn's part in one partition of the taken path.
  struct Share {
    std::vector<kvstore::PlannedOp> ops;
    std::vector<size_t> indexes;  // of ops, in path_.ops
    std::vector<kvstore::KeyChange> changes;
    std::vector<kvstore::OpResult> results;  // one per op
    kvstore::HoldId hold = 0;
    bool has_ranges = false;
  };
  struct Compared {
    std::vector<kvstore::Replica::CompareOutcome> outcomes;
  };
  struct Evaluated {
    absl::Status refusal;
    size_t refused_index = 0;  // in path_.ops
    std::vector<kvstore::KeyChange> changes;
  };

  MultiTxn(Coordinator& coordinator, Request request, Done done);

  void Start();
  void OnTail(absl::StatusOr<journal::Tail> tail);
  void OnCompared(std::vector<Compared> answers);
  void DecidePath(const std::vector<Compared>& answers);
  Evaluated EvaluateShare(kvstore::Replica& replica, const Share& share) const;
  void OnEvaluated(std::vector<Evaluated> answers);
  void ReadUnchanged();
  void OnRead(const std::vector<PartitionId>& from,
              std::vector<absl::StatusOr<kvstore::TxnResult>> answers);
  void NumberChanges();
  void Order();
  void AppendOne(const std::vector<PartitionId>& changed);
  void OnApplied(PartitionId id, kvstore::Reply<std::vector<kvstore::OpResult>> reply);

  void Finish(absl::Status status);
  kvstore::TxnResult BuildResult(Revision before, Revision after);
  kvstore::OpResult BuildOp(size_t index);
  kvstore::DeleteResult BuildDelete(size_t index, std::vector<kvstore::OpResult*> parts) const;

  Coordinator& coordinator_;
  const Request request_;
  Done done_;
  Coordinator::HeldRoom room_;  // from ordering until applied
  TxnPlan plan_;
  std::vector<Held> held_;
  journal::Tail tail_;  // confirmed after all holds were given

  kvstore::TxnPath path_;
  // RangeForOnePartition of ranges that are cut; by path index.
  std::map<size_t, etcdserverpb::RangeRequest> cut_ranges_;
  absl::btree_map<PartitionId, Share> shares_;
  // Partitions of the deleted keys of each range delete, in key order; by path index.
  absl::btree_map<size_t, std::vector<PartitionId>> delete_order_;
  std::vector<bool> op_changed_;  // by path index
  size_t results_missing_ = 0;
  Revision entry_revision_{0};
};

}  // namespace tidemark::partition
