// Leases: grants, and keep-alives over a stream.
//
// Bound to the thread of the connection.
#pragma once

#include <cstdint>
#include <vector>

#include "bench/tidebench/op.h"
#include "bench/tidebench/workloads/methods.h"
#include "proto/rpc.pb.h"

namespace tidemark::bench {

struct LeasePool {
  int64_t wanted = 0;  // 0: no end
  int64_t asked_for = 0;
  std::vector<int64_t> ids;  // granted
};

// Grants of one time-to-live, until the pool, which several may fill, has what it wants.
class GrantOp : public UnaryOp<etcdserverpb::LeaseGrantRequest, etcdserverpb::LeaseGrantResponse> {
 public:
  GrantOp(Connection& connection, int64_t ttl_s, LeasePool* pool);

 private:
  bool Prepare(etcdserverpb::LeaseGrantRequest* request) override;
  absl::Status Check(const etcdserverpb::LeaseGrantResponse& response) override;

  LeasePool* const pool_;
};

// Keeps the leases alive that are its share of the pool, one after the other, over one stream.
class KeepAliveOp : public Op {
 public:
  KeepAliveOp(Connection& connection, int64_t ttl_s, const LeasePool* pool, int64_t number,
              int64_t owners);
  bool Begin() override;

 private:
  void OnMessage(absl::string_view message) override;
  void OnEnd(const absl::Status& status) override;

  const int64_t ttl_s_;
  const LeasePool* const pool_;
  const size_t number_;
  const size_t owners_;
  size_t next_;
  bool is_waiting_ = false;
  bool had_unasked_ = false;
  etcdserverpb::LeaseKeepAliveRequest request_;
  etcdserverpb::LeaseKeepAliveResponse response_;
};

}  // namespace tidemark::bench
