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

struct Compactions {  // acknowledged ones
  int64_t newest_revision = 0;
  int64_t count = 0;
};

// Compacts to the revision that was the newest one when the last compaction was sent, as
// kube-apiserver does; the first to the one at its beginning.
class CompactOp
    : public UnaryOp<etcdserverpb::CompactionRequest, etcdserverpb::CompactionResponse> {
 public:
  CompactOp(Connection& connection, const Dataset* dataset, Compactions* compactions)
      : UnaryOp(connection, kCompactMethod),
        dataset_(dataset),
        compactions_(compactions),
        next_(dataset->newest_revision()) {}

 private:
  bool Prepare(etcdserverpb::CompactionRequest* request) override;
  absl::Status Check(const etcdserverpb::CompactionResponse& response) override;
  absl::Status CheckRefusal(const absl::Status& status) override;

  const Dataset* const dataset_;
  Compactions* const compactions_;
  int64_t next_;
};

// Reads a key just below what was compacted; before the first compaction, at the newest revision.
class CompactedReadOp : public UnaryOp<etcdserverpb::RangeRequest, etcdserverpb::RangeResponse> {
 public:
  CompactedReadOp(Connection& connection, const Dataset* dataset, const Compactions* compactions);

 private:
  bool Prepare(etcdserverpb::RangeRequest* request) override;
  absl::Status Check(const etcdserverpb::RangeResponse& response) override;
  absl::Status CheckRefusal(const absl::Status& status) override;

  const Dataset* const dataset_;
  const Compactions* const compactions_;
  bool must_fail_ = false;
};

}  // namespace tidemark::bench
