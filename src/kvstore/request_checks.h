// What a request must look like before anything is asked of the store.
//
// Pure functions over requests, in etcd's order of checks (contract 2.3, 2.5, 2.7); used by the
// router before a request reaches a partition. A request that passed is never refused for its
// shape again.
#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "proto/rpc.pb.h"

namespace tidemark::kvstore {

// Empty key, unknown sort numbers.
absl::Status CheckRange(const etcdserverpb::RangeRequest& request);
// Empty key, value or lease given although it is to be kept.
absl::Status CheckPut(const etcdserverpb::PutRequest& request);
absl::Status CheckDeleteRange(const etcdserverpb::DeleteRangeRequest& request);
// Size, shape and overlap of both branches, nested ones included.
absl::Status CheckTxn(const etcdserverpb::TxnRequest& request, size_t max_txn_ops);

// Bytes that etcd reckons a request could add to the store (contract 5.2).
inline constexpr int64_t kLeaseGrantCostBytes = 64;
int64_t QuotaCostBytes(const etcdserverpb::PutRequest& request);
int64_t QuotaCostBytes(const etcdserverpb::TxnRequest& request);  // the costlier branch; 0: no put

// Whether the answer may hold more than a few keys.
bool ReadsMany(const etcdserverpb::RangeRequest& request);
bool ReadsMany(const etcdserverpb::TxnRequest& request);

// Both branches hold only ranges (a nested txn makes it a write).
bool IsReadOnlyTxn(const etcdserverpb::TxnRequest& request);
// Every operation is a serializable range; also true without any operation (etcd's quirk).
bool TxnIsSerializable(const etcdserverpb::TxnRequest& request);

}  // namespace tidemark::kvstore
