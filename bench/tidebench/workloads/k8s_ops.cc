#include "bench/tidebench/workloads/k8s_ops.h"

#include <algorithm>

#include "bench/tidebench/workloads/answers.h"

namespace tidemark::bench {

bool PodLifeOp::Prepare(etcdserverpb::TxnRequest*) {
  if (written_ == kWrites) {
    written_ = 0;
    pod_ = share_.Next();
    if (pod_ < 0) return false;
  }
  if (written_ == 0) {
    PrepareCreate(pod_);
  } else if (written_ < kWrites - 1) {
    PrepareUpdate(pod_);
  } else {
    PrepareDelete(pod_);
  }
  ++written_;
  return true;
}

bool EventOp::Prepare(etcdserverpb::TxnRequest*) {
  const int64_t index = share_.Next();
  if (index < 0) return false;
  PrepareCreate(index, pool_->ids.empty() ? 0 : pool_->ids.back());
  return true;
}

ProbeOp::ProbeOp(Connection& connection, const Dataset* dataset, std::string key)
    : UnaryOp(connection, kRangeMethod), dataset_(dataset) {
  request()->set_key(std::move(key));
  request()->set_limit(1);
}

bool ProbeOp::Prepare(etcdserverpb::RangeRequest*) {
  acknowledged_ = dataset_->newest_revision();
  return true;
}

absl::Status ProbeOp::Check(const etcdserverpb::RangeResponse& response) {
  if (response.header().revision() >= acknowledged_ && response.kvs_size() == 0 &&
      response.count() == 0) {
    return absl::OkStatus();
  }
  return WrongFor(request()->key(), acknowledged_, Brief(response));
}

bool CheckerOp::Begin() {
  const Dataset* const dataset = datasets_[next_++ % datasets_.size()];
  expected_.Begin(dataset);
  seen_ = 0;
  count_ = 0;
  has_header_ = false;
  wrong_ = absl::OkStatus();
  request_.set_key(dataset->prefix());
  request_.set_range_end(PrefixEnd(dataset->prefix()));
  request_.set_revision(expected_.revision());
  connection().Start(this, kRangeStreamMethod);
  connection().Send(this, request_);
  connection().EndInput(this);
  return true;
}

absl::Status CheckerOp::CheckPart(const etcdserverpb::RangeResponse& part) {
  for (const mvccpb::KeyValue& kv : part.kvs()) {
    absl::Status status = expected_.Next(kv);
    if (!status.ok()) return status;
  }
  seen_ += part.kvs_size();
  count_ = part.count();
  has_header_ = has_header_ || part.header().revision() >= request_.revision();
  return absl::OkStatus();
}

absl::Status CheckerOp::CheckEnd() {
  if (!has_header_ || count_ != seen_) {
    return WrongAnswer(absl::StrCat("a stream of ", seen_, " keys, count ", count_,
                                    has_header_ ? "" : ", without a header"));
  }
  return expected_.End();
}

void CheckerOp::OnMessage(absl::string_view message) {
  if (!wrong_.ok()) return;
  wrong_ = response_.ParseFromArray(message.data(), static_cast<int>(message.size()))
               ? CheckPart(response_.range_response())
               : WrongAnswer("no RangeStreamResponse");
}

void CheckerOp::OnEnd(const absl::Status& status) {
  if (!status.ok()) return Done(status);
  if (wrong_.ok()) wrong_ = CheckEnd();
  keys = seen_;
  Done(wrong_);
}

}  // namespace tidemark::bench
