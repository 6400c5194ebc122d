#include "src/server/services/request_parser.h"

#include "google/protobuf/io/coded_stream.h"

namespace tidemark::server {
namespace {

using etcdserverpb::RequestOp;
using etcdserverpb::TxnRequest;
using RequestOps = google::protobuf::RepeatedPtrField<RequestOp>;

// 128 levels (contract 2.7) of an operation and the transaction that it is.
constexpr int kTxnMessageDepth = 2 * 128 + 8;
// A transaction of no more is covered by what each call is counted as.
constexpr int64_t kFewParts = 8;

void DropUnknownFields(RequestOp& op) {
  DropOwnUnknownFields(op);
  switch (op.request_case()) {
    case RequestOp::kRequestRange:
      return DropOwnUnknownFields(*op.mutable_request_range());
    case RequestOp::kRequestPut:
      return DropOwnUnknownFields(*op.mutable_request_put());
    case RequestOp::kRequestDeleteRange:
      return DropOwnUnknownFields(*op.mutable_request_delete_range());
    case RequestOp::kRequestTxn:
      return server::DropUnknownFields(*op.mutable_request_txn());
    case RequestOp::REQUEST_NOT_SET:
      return;
  }
}

int64_t CountParts(const TxnRequest& txn) {
  int64_t parts = txn.compare_size() + txn.success_size() + txn.failure_size();
  for (const RequestOps* branch : {&txn.success(), &txn.failure()}) {
    for (const RequestOp& op : *branch) {
      if (op.has_request_txn()) parts += CountParts(op.request_txn());
    }
  }
  return parts;
}

}  // namespace

void DropUnknownFields(TxnRequest& request) {
  DropOwnUnknownFields(request);
  for (etcdserverpb::Compare& compare : *request.mutable_compare()) DropOwnUnknownFields(compare);
  for (RequestOp& op : *request.mutable_success()) DropUnknownFields(op);
  for (RequestOp& op : *request.mutable_failure()) DropUnknownFields(op);
}

void DropUnknownFields(etcdserverpb::WatchRequest& request) {
  DropOwnUnknownFields(request);
  if (request.has_create_request()) DropOwnUnknownFields(*request.mutable_create_request());
  if (request.has_cancel_request()) DropOwnUnknownFields(*request.mutable_cancel_request());
  if (request.has_progress_request()) DropOwnUnknownFields(*request.mutable_progress_request());
}

bool ParseRequest(absl::string_view bytes, TxnRequest& request) {
  const int size = static_cast<int>(bytes.size());
  bool parsed = request.ParseFromArray(bytes.data(), size);
  if (!parsed) {
    google::protobuf::io::CodedInputStream input(reinterpret_cast<const uint8_t*>(bytes.data()),
                                                 size);
    input.SetRecursionLimit(kTxnMessageDepth);
    parsed = request.ParseFromCodedStream(&input) && input.ConsumedEntireMessage();
  }
  if (parsed) DropUnknownFields(request);
  return parsed;
}

int64_t ExtraBytes(const TxnRequest& request) {
  if (CountParts(request) <= kFewParts) return 0;
  return static_cast<int64_t>(request.SpaceUsedLong());
}

}  // namespace tidemark::server
