#include "bench/tidebench/workloads/list_ops.h"

#include <algorithm>

#include "bench/tidebench/workloads/answers.h"

namespace tidemark::bench {
namespace {

using KeyValues = google::protobuf::RepeatedPtrField<mvccpb::KeyValue>;

// Keys from `first` on, one after the other.
absl::Status CheckKeys(Dataset* dataset, int64_t first, const KeyValues& kvs) {
  int64_t index = first;
  for (const mvccpb::KeyValue& kv : kvs) {
    if (index >= dataset->size() || !IsNewest(dataset, index, kv)) {
      return WrongAnswer(absl::StrCat("not key ", index, " as it was written: ", Brief(kv)));
    }
    ++index;
  }
  return absl::OkStatus();
}

}  // namespace

PageOp::PageOp(Connection& connection, Dataset* dataset, int64_t page_keys)
    : UnaryOp(connection, kRangeMethod), dataset_(dataset), page_keys_(page_keys) {
  request()->set_range_end(PrefixEnd(dataset->prefix()));
  request()->set_limit(page_keys);
}

bool PageOp::Prepare(etcdserverpb::RangeRequest* request) {
  if (next_ == 0) {
    request->set_key(dataset_->prefix());
  } else {
    dataset_->KeyOf(next_ - 1, request->mutable_key());
    request->mutable_key()->push_back('\0');
  }
  request->set_revision(next_ == 0 ? 0 : revision_);
  return true;
}

absl::Status PageOp::Check(const etcdserverpb::RangeResponse& response) {
  const int64_t left = dataset_->size() - next_;
  const int64_t wanted = page_keys_ == 0 ? left : std::min(left, page_keys_);
  if (response.kvs_size() != wanted || response.count() != left ||
      response.more() != (wanted < left) ||
      response.header().revision() < dataset_->newest_revision()) {
    return WrongAnswer(absl::StrCat("wanted ", wanted, " of ", left, " keys from ", next_, ", got ",
                                    response.kvs_size(), " of ", response.count(), " in revision ",
                                    response.header().revision()));
  }
  absl::Status status = CheckKeys(dataset_, next_, response.kvs());
  if (next_ == 0) revision_ = response.header().revision();
  next_ = wanted == left ? 0 : next_ + wanted;
  keys = wanted;
  return status;
}

RangeStreamOp::RangeStreamOp(Connection& connection, Dataset* dataset)
    : Op(connection), dataset_(dataset) {
  request_.set_key(dataset->prefix());
  request_.set_range_end(PrefixEnd(dataset->prefix()));
}

bool RangeStreamOp::Begin() {
  next_ = 0;
  revision_ = 0;
  count_ = 0;
  has_ended_ = false;
  wrong_ = absl::OkStatus();
  connection().Start(this, kRangeStreamMethod);
  connection().Send(this, request_);
  connection().EndInput(this);
  return true;
}

void RangeStreamOp::OnMessage(absl::string_view message) {
  if (!wrong_.ok()) return;
  if (has_ended_ || !response_.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
    wrong_ = WrongAnswer("no such message, or one behind the last");
    return;
  }
  const etcdserverpb::RangeResponse& part = response_.range_response();
  if (revision_ == 0) revision_ = part.header().revision();
  wrong_ = CheckKeys(dataset_, next_, part.kvs());
  next_ += part.kvs_size();
  count_ = part.count();
  has_ended_ = part.kvs_size() == 0 || part.count() > 0;
  if (part.more()) wrong_ = WrongAnswer("more, though without a limit");
}

void RangeStreamOp::OnEnd(const absl::Status& status) {
  if (!status.ok()) return Done(status);
  if (wrong_.ok() &&
      (next_ != dataset_->size() || count_ != next_ || revision_ < dataset_->newest_revision())) {
    wrong_ = WrongAnswer(
        absl::StrCat("a stream of ", next_, " keys, count ", count_, ", in revision ", revision_));
  }
  keys = next_;
  Done(wrong_);
}

}  // namespace tidemark::bench
