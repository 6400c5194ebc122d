// Requests for single keys, each with its answer's check.
//
// Bound to the thread of the connection.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "bench/tidebench/dataset.h"
#include "bench/tidebench/op.h"
#include "bench/tidebench/workloads/key_share.h"
#include "bench/tidebench/workloads/methods.h"
#include "bench/tidebench/workloads/txn_op.h"
#include "proto/rpc.pb.h"

namespace tidemark::bench {

// Keys to be stored with one request; without a dataset there are none left.
struct FillBatch {
  Dataset* dataset = nullptr;
  int64_t begin = 0;
  int64_t end = 0;
};

class FillOp : public UnaryOp<etcdserverpb::TxnRequest, etcdserverpb::TxnResponse> {
 public:
  FillOp(Connection& connection, std::function<FillBatch()> next)
      : UnaryOp(connection, kTxnMethod), next_(std::move(next)) {}

 private:
  bool Prepare(etcdserverpb::TxnRequest* request) override;
  absl::Status Check(const etcdserverpb::TxnResponse& response) override;

  const std::function<FillBatch()> next_;
  FillBatch batch_;
};

// The same bytes back: a transport without a store.
class EchoOp : public UnaryOp<etcdserverpb::PutRequest, etcdserverpb::PutRequest> {
 public:
  EchoOp(Connection& connection, KeyShare share)
      : UnaryOp(connection, kEchoMethod), share_(std::move(share)) {}

 private:
  bool Prepare(etcdserverpb::PutRequest* request) override;
  absl::Status Check(const etcdserverpb::PutRequest& response) override;

  KeyShare share_;
  int64_t sent_ = 0;
};

class PutOp : public UnaryOp<etcdserverpb::PutRequest, etcdserverpb::PutResponse> {
 public:
  PutOp(Connection& connection, KeyShare share)
      : UnaryOp(connection, kPutMethod), share_(std::move(share)) {}

 private:
  bool Prepare(etcdserverpb::PutRequest* request) override;
  absl::Status Check(const etcdserverpb::PutResponse& response) override;

  KeyShare share_;
  int64_t index_ = 0;
};

class GetOp : public UnaryOp<etcdserverpb::RangeRequest, etcdserverpb::RangeResponse> {
 public:
  GetOp(Connection& connection, KeyShare share, bool is_serializable)
      : UnaryOp(connection, kRangeMethod),
        share_(std::move(share)),
        is_serializable_(is_serializable) {}

 private:
  bool Prepare(etcdserverpb::RangeRequest* request) override;
  absl::Status Check(const etcdserverpb::RangeResponse& response) override;

  KeyShare share_;
  const bool is_serializable_;
  int64_t index_ = 0;
};

// Any of its keys.
class UpdateOp : public TxnOp {
 public:
  UpdateOp(Connection& connection, KeyShare share)
      : TxnOp(connection, &share.dataset()), share_(std::move(share)) {}

 private:
  bool Prepare(etcdserverpb::TxnRequest*) override {
    PrepareUpdate(share_.Choose());
    return true;
  }

  KeyShare share_;
};

// Each of its keys in turn, as nodes renew their leases.
class RenewOp : public TxnOp {
 public:
  RenewOp(Connection& connection, KeyShare share)
      : TxnOp(connection, &share.dataset()), share_(std::move(share)) {}

 private:
  bool Prepare(etcdserverpb::TxnRequest*) override {
    PrepareUpdate(share_.NextInTurn());
    return true;
  }

  KeyShare share_;
};

class CreateOp : public TxnOp {
 public:
  CreateOp(Connection& connection, KeyShare share)
      : TxnOp(connection, &share.dataset()), share_(std::move(share)) {}

 private:
  bool Prepare(etcdserverpb::TxnRequest*) override {
    const int64_t index = share_.Next();
    if (index < 0) return false;
    PrepareCreate(index);
    return true;
  }

  KeyShare share_;
};

}  // namespace tidemark::bench
