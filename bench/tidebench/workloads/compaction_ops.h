// Compactions, and reads that must fail because of them.
//
// Bound to the thread of the connection.
#pragma once

#include <cstdint>

#include "bench/tidebench/dataset.h"
#include "bench/tidebench/op.h"
#include "bench/tidebench/workloads/methods.h"
#include "proto/rpc.pb.h"

namespace tidemark::bench {

// Compacts to the revision that was the newest one when the last compaction was sent, as
// kube-apiserver does; the first to the one at its beginning.
class CompactOp
    : public UnaryOp<etcdserverpb::CompactionRequest, etcdserverpb::CompactionResponse> {
 public:
  // `compacted` is the newest revision for which a compaction was acknowledged.
  CompactOp(Connection& connection, const Dataset* dataset, int64_t* compacted)
      : UnaryOp(connection, kCompactMethod),
        dataset_(dataset),
        compacted_(compacted),
        next_(dataset->newest_revision()) {}

 private:
  bool Prepare(etcdserverpb::CompactionRequest* request) override;
  absl::Status Check(const etcdserverpb::CompactionResponse& response) override;
  absl::Status CheckRefusal(const absl::Status& status) override;

  const Dataset* const dataset_;
  int64_t* const compacted_;
  int64_t next_;
};

// Reads a key just below what was compacted; before the first compaction, at the newest revision.
class CompactedReadOp : public UnaryOp<etcdserverpb::RangeRequest, etcdserverpb::RangeResponse> {
 public:
  CompactedReadOp(Connection& connection, const Dataset* dataset, const int64_t* compacted);

 private:
  bool Prepare(etcdserverpb::RangeRequest* request) override;
  absl::Status Check(const etcdserverpb::RangeResponse& response) override;
  absl::Status CheckRefusal(const absl::Status& status) override;

  const Dataset* const dataset_;
  const int64_t* const compacted_;
  bool must_fail_ = false;
};

}  // namespace tidemark::bench
