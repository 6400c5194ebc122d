#include "bench/tidebench/workloads/point_ops.h"

#include "bench/tidebench/workloads/answers.h"

namespace tidemark::bench {

bool FillOp::Prepare(etcdserverpb::TxnRequest* request) {
  batch_ = next_();
  if (batch_.dataset == nullptr) return false;
  request->Clear();
  for (int64_t i = batch_.begin; i < batch_.end; ++i) {
    etcdserverpb::PutRequest* put = request->add_success()->mutable_request_put();
    batch_.dataset->KeyOf(i, put->mutable_key());
    batch_.dataset->ValueOf(i, batch_.dataset->entry(i).writes + 1, put->mutable_value());
    batch_.dataset->NoteSent(i, Dataset::Pending::kWrite);
  }
  return true;
}

absl::Status FillOp::Check(const etcdserverpb::TxnResponse& response) {
  bool is_right = response.succeeded() && response.responses_size() == batch_.end - batch_.begin;
  for (int64_t i = batch_.begin; i < batch_.end && is_right; ++i) {
    is_right = batch_.dataset->NoteWrite(i, response.header().revision(), due_ns);
  }
  return is_right ? absl::OkStatus() : WrongAnswer(Brief(response));
}

bool EchoOp::Prepare(etcdserverpb::PutRequest* request) {
  const int64_t index = share_.Choose();
  share_.dataset().KeyOf(index, request->mutable_key());
  share_.dataset().ValueOf(index, ++sent_, request->mutable_value());
  return true;
}

absl::Status EchoOp::Check(const etcdserverpb::PutRequest& response) {
  const bool is_same = response.key() == request()->key() && response.value() == request()->value();
  return is_same ? absl::OkStatus() : WrongFor(request()->key(), 0, Brief(response));
}

bool PutOp::Prepare(etcdserverpb::PutRequest* request) {
  index_ = share_.Choose();
  Dataset& dataset = share_.dataset();
  dataset.KeyOf(index_, request->mutable_key());
  dataset.ValueOf(index_, dataset.entry(index_).writes + 1, request->mutable_value());
  dataset.NoteSent(index_, Dataset::Pending::kWrite);
  return true;
}

absl::Status PutOp::Check(const etcdserverpb::PutResponse& response) {
  Dataset& dataset = share_.dataset();
  const int64_t known_revision = dataset.entry(index_).mod_revision;
  if (dataset.NoteWrite(index_, response.header().revision(), due_ns)) return absl::OkStatus();
  return WrongFor(request()->key(), known_revision, Brief(response));
}

bool GetOp::Prepare(etcdserverpb::RangeRequest* request) {
  index_ = share_.Choose();
  share_.dataset().KeyOf(index_, request->mutable_key());
  request->set_limit(1);  // as kube-apiserver
  request->set_serializable(is_serializable_);
  return true;
}

absl::Status GetOp::Check(const etcdserverpb::RangeResponse& response) {
  const int64_t known_revision = share_.dataset().entry(index_).mod_revision;
  const bool is_right = response.kvs_size() == 1 && response.count() == 1 && !response.more() &&
                        response.header().revision() >= known_revision &&
                        IsNewest(&share_.dataset(), index_, response.kvs(0));
  return is_right ? absl::OkStatus() : WrongFor(request()->key(), known_revision, Brief(response));
}

}  // namespace tidemark::bench
