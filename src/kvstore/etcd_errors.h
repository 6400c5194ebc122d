// Refusals with etcd's own codes and texts: the one table.
//
// absl's status codes have gRPC's numbers, so the transport sends them as they are. Clients map
// errors by exact text (etcd's rpctypes; contract 8.1), so the texts are protocol.
#pragma once

#include "absl/status/status.h"

namespace tidemark::kvstore {

#define TIDEMARK_ETCD_ERROR(name, code, text) \
  inline absl::Status name() { return absl::Status(absl::StatusCode::code, "etcdserver: " text); }

TIDEMARK_ETCD_ERROR(ErrEmptyKey, kInvalidArgument, "key is not provided")
TIDEMARK_ETCD_ERROR(ErrKeyNotFound, kInvalidArgument, "key not found")
TIDEMARK_ETCD_ERROR(ErrValueProvided, kInvalidArgument, "value is provided")
TIDEMARK_ETCD_ERROR(ErrLeaseProvided, kInvalidArgument, "lease is provided")
TIDEMARK_ETCD_ERROR(ErrTooManyOps, kInvalidArgument, "too many operations in txn request")
TIDEMARK_ETCD_ERROR(ErrDuplicateKey, kInvalidArgument, "duplicate key given in txn request")
TIDEMARK_ETCD_ERROR(ErrInvalidClientApiVersion, kInvalidArgument, "invalid client api version")
TIDEMARK_ETCD_ERROR(ErrInvalidSortOption, kInvalidArgument, "invalid sort option")
TIDEMARK_ETCD_ERROR(ErrRequestTooLarge, kInvalidArgument, "request is too large")
TIDEMARK_ETCD_ERROR(ErrCompacted, kOutOfRange, "mvcc: required revision has been compacted")
TIDEMARK_ETCD_ERROR(ErrFutureRevision, kOutOfRange, "mvcc: required revision is a future revision")
TIDEMARK_ETCD_ERROR(ErrAuthNotEnabled, kFailedPrecondition, "authentication is not enabled")
TIDEMARK_ETCD_ERROR(ErrNoSpace, kResourceExhausted, "mvcc: database space exceeded")
// etcd sends UNKNOWN for this one (contract 8.2).
TIDEMARK_ETCD_ERROR(ErrTooManyRequests, kUnknown, "too many requests")
TIDEMARK_ETCD_ERROR(ErrLeaseNotFound, kNotFound, "requested lease not found")
TIDEMARK_ETCD_ERROR(ErrLeaseExists, kFailedPrecondition, "lease already exists")
TIDEMARK_ETCD_ERROR(ErrLeaseTtlTooLarge, kOutOfRange, "too large lease TTL")
TIDEMARK_ETCD_ERROR(ErrWatchCanceled, kCancelled, "watch canceled")
TIDEMARK_ETCD_ERROR(ErrNoLeader, kUnavailable, "no leader")
TIDEMARK_ETCD_ERROR(ErrStopped, kUnavailable, "server stopped")
TIDEMARK_ETCD_ERROR(ErrTimeout, kUnavailable, "request timed out")
TIDEMARK_ETCD_ERROR(ErrCorrupt, kDataLoss, "corrupt cluster")

#undef TIDEMARK_ETCD_ERROR

}  // namespace tidemark::kvstore
