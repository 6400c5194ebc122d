// Judges a write against applied state: which keys it changes and how, or why it is refused.
//
// Hides the txn rules of contract 2.7: pre-check of the chosen path, ignore_value and ignore_lease,
// range deletes expanded in key order, each operation seeing the ones before it.
// Pure: reads the store and the leases, changes nothing. Sequence-bound to them.
//
// Invariants:
//  1. Changes name deletes only of keys that are alive at that point, so they can be applied
//     without judging anything again.
//  2. A refusal leaves no trace.
#pragma once

#include <optional>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "src/kvstore/lease_table.h"
#include "src/kvstore/replica.h"
#include "src/kvstore/results.h"
#include "src/kvstore/txn_path.h"

namespace tidemark::kvstore {

// What applying needs to know to answer the operations of one write.
struct PlannedAnswer {
  struct Step {
    PlannedOp op;
    size_t change_count = 0;  // of the entry's changes here, in order
    // Ranges at an explicit revision are read when they are judged: a compaction may be ordered
    // before the entry.
    std::optional<RangeResult> past_read;
  };
  absl::InlinedVector<Step, 1> steps;
};

struct Evaluation {
  std::vector<KeyChange> changes;  // numbered from sub 0
  PlannedAnswer answer;
};

class Evaluator {
 public:
  // `current` is the revision of the applied state (of all partitions).
  Evaluator(const mvcc::VersionStore& store, const LeaseTable& leases, Revision current)
      : store_(store), leases_(leases), current_(current) {}

  // Of the keys here: do all satisfy it, and is there any? Reads at `at`.
  Replica::CompareOutcome Compare(const etcdserverpb::Compare& compare, Revision at) const;
  // The compare as a whole, when all its keys are in this partition.
  bool Holds(const etcdserverpb::Compare& compare, Revision at) const;

  // Asks for the lease first, then for the key, as etcd 3.7 does, alone and in a txn.
  absl::Status CheckPut(const etcdserverpb::PutRequest& put) const;
  // `refused_op` is set when one of them is refused.
  absl::StatusOr<Evaluation> Evaluate(absl::Span<const PlannedOp> ops,
                                      size_t* refused_op = nullptr) const;

  // Pre-check of a range inside a txn.
  absl::Status CheckRangeInTxn(const etcdserverpb::RangeRequest& range) const;
  // The results of operations that turned out to change nothing, at the current state.
  std::vector<OpResult> ResultsWithoutChanges(PlannedAnswer answer) const;

 private:
  class Overlay;

  absl::Status PreCheck(const PlannedOp& op) const;
  absl::Status AddPut(const etcdserverpb::PutRequest& put, Overlay* overlay, Evaluation* out) const;
  void AddDeletes(const etcdserverpb::DeleteRangeRequest& request, Overlay* overlay,
                  Evaluation* out) const;

  const mvcc::VersionStore& store_;
  const LeaseTable& leases_;
  const Revision current_;
};

}  // namespace tidemark::kvstore
