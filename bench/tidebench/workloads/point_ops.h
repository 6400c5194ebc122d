// Requests for single keys, each with its answer's check.
//
// Bound to the thread of the connection.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "bench/tidebench/dataset.h"
#include "bench/tidebench/op.h"
#include "bench/tidebench/workloads/key_share.h"
#include "bench/tidebench/workloads/methods.h"
#include "bench/tidebench/workloads/txn_op.h"
#include "proto/rpc.pb.h"

namespace tidemark::bench {

// Stores a batch of keys with one Txn; for filling.
class FillOp : public UnaryOp<etcdserverpb::TxnRequest, etcdserverpb::TxnResponse> {
 public:
  // `next` is shared by those who fill together.
  FillOp(Connection& connection, Dataset* dataset, int64_t batch_keys, int64_t* next)
      : UnaryOp(connection, kTxnMethod), dataset_(dataset), batch_keys_(batch_keys), next_(next) {}

 private:
  bool Prepare(etcdserverpb::TxnRequest* request) override;
  absl::Status Check(const etcdserverpb::TxnResponse& response) override;

  Dataset* const dataset_;
  const int64_t batch_keys_;
  int64_t* const next_;
  int64_t begin_ = 0;
  int64_t end_ = 0;
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
