// Requests for single keys, each with its answer's check.
//
// Invariant: a key belongs to one op at a time (KeyShare), so its owner knows its mod_revision
// exactly and an update never loses a race. Bound to the thread of the connection.
#pragma once

#include <cstdint>
#include <string>

#include "bench/tidebench/dataset.h"
#include "bench/tidebench/op.h"
#include "bench/tidebench/small_random.h"
#include "proto/rpc.pb.h"

namespace tidemark::bench {

inline constexpr absl::string_view kPutPath = "/etcdserverpb.KV/Put";
inline constexpr absl::string_view kRangePath = "/etcdserverpb.KV/Range";
inline constexpr absl::string_view kTxnPath = "/etcdserverpb.KV/Txn";

// Of `owners` ops the one with this number has the keys whose index leaves it as a remainder.
class KeyShare {
 public:
  KeyShare(Dataset* dataset, int64_t number, int64_t owners, uint64_t seed);
  int64_t Choose();  // any of them
  int64_t Next();    // one after the other; -1 behind the last
  Dataset& dataset() { return *dataset_; }

 private:
  Dataset* const dataset_;
  const int64_t number_;
  const int64_t owners_;
  const int64_t owned_;
  int64_t next_ = 0;
  SmallRandom random_;
};

// Stores a batch of keys with one Txn; for filling.
class FillOp : public UnaryOp<etcdserverpb::TxnRequest, etcdserverpb::TxnResponse> {
 public:
  // `next` is shared by those who fill together.
  FillOp(Connection& connection, Dataset* dataset, int64_t batch_keys, int64_t* next);

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
      : UnaryOp(connection, kPutPath), share_(std::move(share)) {}

 private:
  bool Prepare(etcdserverpb::PutRequest* request) override;
  absl::Status Check(const etcdserverpb::PutResponse& response) override;

  KeyShare share_;
  int64_t index_ = 0;
};

class GetOp : public UnaryOp<etcdserverpb::RangeRequest, etcdserverpb::RangeResponse> {
 public:
  GetOp(Connection& connection, KeyShare share, bool is_serializable)
      : UnaryOp(connection, kRangePath),
        share_(std::move(share)),
        is_serializable_(is_serializable) {}

 private:
  bool Prepare(etcdserverpb::RangeRequest* request) override;
  absl::Status Check(const etcdserverpb::RangeResponse& response) override;

  KeyShare share_;
  const bool is_serializable_;
  int64_t index_ = 0;
  std::string expected_;
};

// If mod_revision is as known then put, else get: what kube-apiserver sends to update an object.
class UpdateOp : public UnaryOp<etcdserverpb::TxnRequest, etcdserverpb::TxnResponse> {
 public:
  UpdateOp(Connection& connection, KeyShare share);

 private:
  bool Prepare(etcdserverpb::TxnRequest* request) override;
  absl::Status Check(const etcdserverpb::TxnResponse& response) override;

  KeyShare share_;
  int64_t index_ = 0;
  etcdserverpb::Compare* compare_;
  etcdserverpb::PutRequest* put_;
  etcdserverpb::RangeRequest* get_;
};

// If there is no such key then put: what kube-apiserver sends to create an object.
class CreateOp : public UnaryOp<etcdserverpb::TxnRequest, etcdserverpb::TxnResponse> {
 public:
  CreateOp(Connection& connection, KeyShare share);

 private:
  bool Prepare(etcdserverpb::TxnRequest* request) override;
  absl::Status Check(const etcdserverpb::TxnResponse& response) override;

  KeyShare share_;
  int64_t index_ = 0;
  etcdserverpb::Compare* compare_;
  etcdserverpb::PutRequest* put_;
};

}  // namespace tidemark::bench
