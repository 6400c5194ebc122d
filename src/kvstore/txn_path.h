// Which operations of a transaction run, and how their results become its answer.
//
// A nested txn is flattened: compares of every level on the chosen path are judged before any
// operation (contract 2.7), what is left is a list of operations in execution order and a tree
// that says where each result belongs. Used inside a partition and by multi-partition writes.
// Pure; the path points into the request, which must outlive it.
#pragma once

#include <cstddef>
#include <memory>
#include <variant>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "proto/rpc.pb.h"
#include "src/kvstore/replica.h"
#include "src/kvstore/results.h"

namespace tidemark::kvstore {

// One level of the chosen path: each slot is an index into the flattened operations, or a nested
// level.
struct TxnShape {
  bool succeeded = false;
  std::vector<std::variant<size_t, std::unique_ptr<TxnShape>>> slots;
};

struct TxnPath {
  std::vector<PlannedOp> ops;
  TxnShape shape;
};

// REQUIRES a request that passed CheckTxn (this bounds the recursion).
TxnPath DecideTxnPath(const etcdserverpb::TxnRequest& request,
                      absl::FunctionRef<bool(const etcdserverpb::Compare&)> holds);

// Puts one result per flattened operation back into the shape of the request.
TxnResult BuildTxnResult(const TxnShape& shape, std::vector<OpResult> results);

// True when the key does not exist (or the range is empty) and the compare holds nevertheless.
bool CompareHoldsForMissing(const etcdserverpb::Compare& compare);
bool CompareHolds(const etcdserverpb::Compare& compare, const mvcc::KeyValueView& kv);

}  // namespace tidemark::kvstore
