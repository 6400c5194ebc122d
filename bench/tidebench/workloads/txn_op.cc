#include "bench/tidebench/workloads/txn_op.h"

#include "bench/tidebench/workloads/answers.h"
#include "bench/tidebench/workloads/methods.h"

namespace tidemark::bench {
namespace {

using etcdserverpb::Compare;

etcdserverpb::RequestOp* Only(google::protobuf::RepeatedPtrField<etcdserverpb::RequestOp>* list) {
  return list->empty() ? list->Add() : list->Mutable(0);
}

bool IsDeleteDone(const etcdserverpb::TxnResponse& response) {
  return response.succeeded() && response.responses_size() == 1 &&
         response.responses(0).response_delete_range().deleted() == 1;
}

}  // namespace

TxnOp::TxnOp(Connection& connection, Dataset* dataset)
    : UnaryOp(connection, kTxnMethod), dataset_(dataset), compare_(request()->add_compare()) {
  compare_->set_result(Compare::EQUAL);
  compare_->set_target(Compare::MOD);
}

void TxnOp::SetKey(Kind kind, int64_t index) {
  kind_ = kind;
  index_ = index;
  dataset_->KeyOf(index, compare_->mutable_key());
  compare_->set_mod_revision(dataset_->entry(index).mod_revision);
  dataset_->NoteSent(index,
                     kind == Kind::kDelete ? Dataset::Pending::kDelete : Dataset::Pending::kWrite);
  if (kind == Kind::kCreate) {
    request()->clear_failure();
    return;
  }
  auto* get = Only(request()->mutable_failure())->mutable_request_range();
  get->set_key(compare_->key());
  get->set_limit(1);
}

void TxnOp::SetPut(int64_t lease) {
  auto* put = Only(request()->mutable_success())->mutable_request_put();
  put->set_key(compare_->key());
  put->set_lease(lease);
  dataset_->ValueOf(index_, dataset_->entry(index_).writes + 1, put->mutable_value());
}

void TxnOp::PrepareCreate(int64_t index, int64_t lease) {
  SetKey(Kind::kCreate, index);
  SetPut(lease);
}

void TxnOp::PrepareUpdate(int64_t index) {
  SetKey(Kind::kUpdate, index);
  SetPut(0);
}

void TxnOp::PrepareDelete(int64_t index) {
  SetKey(Kind::kDelete, index);
  Only(request()->mutable_success())->mutable_request_delete_range()->set_key(compare_->key());
}

absl::Status TxnOp::Check(const etcdserverpb::TxnResponse& response) {
  const int64_t known_revision = dataset_->entry(index_).mod_revision;
  const int64_t revision = response.header().revision();
  const bool is_right =
      kind_ == Kind::kDelete
          ? IsDeleteDone(response) && dataset_->NoteDelete(index_, revision, due_ns)
          : IsPutDone(response) && dataset_->NoteWrite(index_, revision, due_ns);
  return is_right ? absl::OkStatus() : WrongFor(compare_->key(), known_revision, Brief(response));
}

}  // namespace tidemark::bench
