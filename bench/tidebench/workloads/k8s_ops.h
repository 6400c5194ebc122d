// Requests of kube-apiserver that are more than one write or read of a key.
//
// Bound to the thread of the connection.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "bench/tidebench/dataset.h"
#include "bench/tidebench/op.h"
#include "bench/tidebench/workloads/expected_list.h"
#include "bench/tidebench/workloads/key_share.h"
#include "bench/tidebench/workloads/lease_ops.h"
#include "bench/tidebench/workloads/methods.h"
#include "bench/tidebench/workloads/txn_op.h"
#include "proto/rpc.pb.h"

namespace tidemark::bench {

// A pod's life, one write a request: create, bind, statuses, deletion mark, last status, delete;
// then the next pod's.
class PodLifeOp : public TxnOp {
 public:
  static constexpr int kWrites = 8;
  PodLifeOp(Connection& connection, KeyShare share)
      : TxnOp(connection, &share.dataset()), share_(std::move(share)) {}

 private:
  bool Prepare(etcdserverpb::TxnRequest* request) override;

  KeyShare share_;
  int64_t pod_ = 0;
  int written_ = kWrites;  // of this pod's
};

// Creates keys under the newest lease of the pool, as the objects of events are.
class EventOp : public TxnOp {
 public:
  EventOp(Connection& connection, KeyShare share, const LeasePool* pool)
      : TxnOp(connection, &share.dataset()), share_(std::move(share)), pool_(pool) {}

 private:
  bool Prepare(etcdserverpb::TxnRequest* request) override;

  KeyShare share_;
  const LeasePool* const pool_;
};

// "Which revision is it?": a linearizable read of a key that never exists.
class ProbeOp : public UnaryOp<etcdserverpb::RangeRequest, etcdserverpb::RangeResponse> {
 public:
  ProbeOp(Connection& connection, const Dataset* dataset, std::string key);

 private:
  bool Prepare(etcdserverpb::RangeRequest* request) override;
  absl::Status Check(const etcdserverpb::RangeResponse& response) override;

  const Dataset* const dataset_;
  int64_t acknowledged_ = 0;  // the newest revision when it was sent
};

// All keys of one dataset after another at the revision that is the newest known, as a stream,
// while they change: the consistency checker of kube-apiserver's caches.
class CheckerOp : public Op {
 public:
  CheckerOp(Connection& connection, std::vector<const Dataset*> datasets)
      : Op(connection), datasets_(std::move(datasets)) {}
  bool Begin() override;

 private:
  void OnMessage(absl::string_view message) override;
  void OnEnd(const absl::Status& status) override;
  absl::Status CheckPart(const etcdserverpb::RangeResponse& part);
  absl::Status CheckEnd();

  const std::vector<const Dataset*> datasets_;
  size_t next_ = 0;
  ExpectedList expected_;
  etcdserverpb::RangeRequest request_;
  etcdserverpb::RangeStreamResponse response_;
  int64_t seen_ = 0;
  int64_t count_ = 0;
  bool has_header_ = false;
  absl::Status wrong_;
};

}  // namespace tidemark::bench
