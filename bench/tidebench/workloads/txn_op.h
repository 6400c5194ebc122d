// A transaction on one key under the condition that its mod_revision is as known: how
// kube-apiserver creates, updates and deletes objects.
//
// Hides the three forms and what a right answer to each is. Bound to the thread of its connection.
#pragma once

#include <cstdint>
#include <string>

#include "bench/tidebench/dataset.h"
#include "bench/tidebench/op.h"
#include "proto/rpc.pb.h"

namespace tidemark::bench {

class TxnOp : public UnaryOp<etcdserverpb::TxnRequest, etcdserverpb::TxnResponse> {
 public:
  TxnOp(Connection& connection, Dataset* dataset);

 protected:
  // What Prepare is to call once. The key must not be anybody else's meanwhile.
  void PrepareCreate(int64_t index, int64_t lease = 0);  // nothing when it is there
  void PrepareUpdate(int64_t index);                     // else get
  void PrepareDelete(int64_t index);                     // else get

 private:
  enum class Kind { kCreate, kUpdate, kDelete };

  absl::Status Check(const etcdserverpb::TxnResponse& response) final;
  void SetKey(Kind kind, int64_t index);
  void SetPut(int64_t lease);

  Dataset* const dataset_;
  Kind kind_ = Kind::kCreate;
  int64_t index_ = 0;
  etcdserverpb::Compare* compare_;
};

}  // namespace tidemark::bench
