#include "bench/tidebench/workloads/point_ops.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "src/base/check.h"

namespace tidemark::bench {
namespace {

using etcdserverpb::Compare;

// For an error's text: values are long.
template <class Message>
std::string Brief(const Message& message) {
  return message.ShortDebugString().substr(0, 400);
}

absl::Status WrongFor(const std::string& key, int64_t known_revision, const std::string& answer) {
  return WrongAnswer(
      absl::StrCat("for ", key, ", last changed in revision ", known_revision, ": ", answer));
}

// What an acknowledged write of the key must have said; notes it.
bool NoteWrite(Dataset::Entry* entry, int64_t revision) {
  const bool is_newer = revision > entry->mod_revision;
  entry->mod_revision = revision;
  ++entry->writes;
  return is_newer;
}

bool IsPutDone(const etcdserverpb::TxnResponse& response) {
  return response.succeeded() && response.responses_size() == 1 &&
         response.responses(0).has_response_put();
}

}  // namespace

KeyShare::KeyShare(Dataset* dataset, int64_t number, int64_t owners, uint64_t seed)
    : dataset_(dataset),
      number_(number),
      owners_(owners),
      owned_((dataset->size() - number + owners - 1) / owners),
      random_(seed * 1'000'003 + static_cast<uint64_t>(number)) {
  CHECK_MSG(owned_ > 0, "fewer keys than clients");
}

int64_t KeyShare::Choose() { return number_ + owners_ * random_.Below(owned_); }

int64_t KeyShare::Next() { return next_ == owned_ ? -1 : number_ + owners_ * next_++; }

FillOp::FillOp(Connection& connection, Dataset* dataset, int64_t batch_keys, int64_t* next)
    : UnaryOp(connection, kTxnPath), dataset_(dataset), batch_keys_(batch_keys), next_(next) {}

bool FillOp::Prepare(etcdserverpb::TxnRequest* request) {
  begin_ = *next_;
  end_ = std::min(begin_ + batch_keys_, dataset_->size());
  if (begin_ == end_) return false;
  *next_ = end_;
  request->Clear();
  for (int64_t i = begin_; i < end_; ++i) {
    etcdserverpb::PutRequest* put = request->add_success()->mutable_request_put();
    dataset_->KeyOf(i, put->mutable_key());
    dataset_->ValueOf(i, dataset_->entry(i).writes + 1, put->mutable_value());
  }
  return true;
}

absl::Status FillOp::Check(const etcdserverpb::TxnResponse& response) {
  if (!response.succeeded() || response.responses_size() != end_ - begin_) {
    return WrongAnswer(Brief(response));
  }
  for (int64_t i = begin_; i < end_; ++i) {
    if (!NoteWrite(&dataset_->entry(i), response.header().revision())) {
      return WrongAnswer(Brief(response));
    }
  }
  return absl::OkStatus();
}

bool PutOp::Prepare(etcdserverpb::PutRequest* request) {
  index_ = share_.Choose();
  share_.dataset().KeyOf(index_, request->mutable_key());
  share_.dataset().ValueOf(index_, share_.dataset().entry(index_).writes + 1,
                           request->mutable_value());
  return true;
}

absl::Status PutOp::Check(const etcdserverpb::PutResponse& response) {
  Dataset::Entry& entry = share_.dataset().entry(index_);
  const int64_t known_revision = entry.mod_revision;
  if (NoteWrite(&entry, response.header().revision())) return absl::OkStatus();
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
  const Dataset::Entry& entry = share_.dataset().entry(index_);
  share_.dataset().ValueOf(index_, entry.writes, &expected_);
  if (response.kvs_size() == 1 && response.count() == 1 && !response.more() &&
      response.header().revision() >= entry.mod_revision &&
      response.kvs(0).key() == request()->key() &&
      response.kvs(0).mod_revision() == entry.mod_revision &&
      response.kvs(0).value() == expected_) {
    return absl::OkStatus();
  }
  return WrongFor(request()->key(), entry.mod_revision, Brief(response));
}

UpdateOp::UpdateOp(Connection& connection, KeyShare share)
    : UnaryOp(connection, kTxnPath), share_(std::move(share)) {
  compare_ = request()->add_compare();
  compare_->set_result(Compare::EQUAL);
  compare_->set_target(Compare::MOD);
  put_ = request()->add_success()->mutable_request_put();
  get_ = request()->add_failure()->mutable_request_range();
  get_->set_limit(1);
}

bool UpdateOp::Prepare(etcdserverpb::TxnRequest*) {
  index_ = share_.Choose();
  Dataset& dataset = share_.dataset();
  const Dataset::Entry& entry = dataset.entry(index_);
  dataset.KeyOf(index_, compare_->mutable_key());
  compare_->set_mod_revision(entry.mod_revision);
  put_->set_key(compare_->key());
  dataset.ValueOf(index_, entry.writes + 1, put_->mutable_value());
  get_->set_key(compare_->key());
  return true;
}

absl::Status UpdateOp::Check(const etcdserverpb::TxnResponse& response) {
  Dataset::Entry& entry = share_.dataset().entry(index_);
  const int64_t known_revision = entry.mod_revision;
  if (IsPutDone(response) && NoteWrite(&entry, response.header().revision())) {
    return absl::OkStatus();
  }
  return WrongFor(compare_->key(), known_revision, Brief(response));
}

CreateOp::CreateOp(Connection& connection, KeyShare share)
    : UnaryOp(connection, kTxnPath), share_(std::move(share)) {
  compare_ = request()->add_compare();
  compare_->set_result(Compare::EQUAL);
  compare_->set_target(Compare::MOD);
  compare_->set_mod_revision(0);
  put_ = request()->add_success()->mutable_request_put();
}

bool CreateOp::Prepare(etcdserverpb::TxnRequest*) {
  index_ = share_.Next();
  if (index_ < 0) return false;
  share_.dataset().KeyOf(index_, compare_->mutable_key());
  put_->set_key(compare_->key());
  share_.dataset().ValueOf(index_, 1, put_->mutable_value());
  return true;
}

absl::Status CreateOp::Check(const etcdserverpb::TxnResponse& response) {
  if (IsPutDone(response) &&
      NoteWrite(&share_.dataset().entry(index_), response.header().revision())) {
    return absl::OkStatus();
  }
  return WrongFor(compare_->key(), 0, Brief(response));
}

}  // namespace tidemark::bench
