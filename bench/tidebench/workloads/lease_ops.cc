#include "bench/tidebench/workloads/lease_ops.h"

#include <utility>

#include "bench/tidebench/workloads/answers.h"
#include "src/base/check.h"

namespace tidemark::bench {

GrantOp::GrantOp(Connection& connection, int64_t ttl_s, LeasePool* pool)
    : UnaryOp(connection, kGrantMethod), pool_(pool) {
  request()->set_ttl(ttl_s);
}

bool GrantOp::Prepare(etcdserverpb::LeaseGrantRequest*) {
  if (pool_->wanted > 0 && pool_->asked_for == pool_->wanted) return false;
  ++pool_->asked_for;
  return true;
}

absl::Status GrantOp::Check(const etcdserverpb::LeaseGrantResponse& response) {
  if (response.id() <= 0 || response.ttl() != request()->ttl() || !response.error().empty() ||
      response.header().revision() <= 0) {
    return WrongAnswer(Brief(response));
  }
  pool_->ids.push_back(response.id());
  return absl::OkStatus();
}

KeepAliveOp::KeepAliveOp(Connection& connection, int64_t ttl_s, const LeasePool* pool,
                         int64_t number, int64_t owners)
    : Op(connection),
      ttl_s_(ttl_s),
      pool_(pool),
      number_(static_cast<size_t>(number)),
      owners_(static_cast<size_t>(owners)),
      next_(number_) {}

bool KeepAliveOp::Begin() {
  CHECK(number_ < pool_->ids.size());
  if (next_ >= pool_->ids.size()) next_ = number_;
  request_.set_id(pool_->ids[next_]);
  next_ += owners_;
  is_waiting_ = true;
  if (!is_open()) connection().Start(this, kKeepAliveMethod, false);
  connection().Send(this, request_);
  return true;
}

void KeepAliveOp::OnMessage(absl::string_view message) {
  if (!std::exchange(is_waiting_, false)) {
    had_unasked_ = true;
    return;
  }
  const bool is_right =
      response_.ParseFromArray(message.data(), static_cast<int>(message.size())) && !had_unasked_ &&
      response_.id() == request_.id() && response_.ttl() == ttl_s_;
  Done(is_right ? absl::OkStatus() : WrongAnswer(Brief(response_)));
}

void KeepAliveOp::OnEnd(const absl::Status& status) {
  if (!std::exchange(is_waiting_, false)) return;
  Done(status.ok() ? WrongAnswer("the stream of keep-alives ended") : status);
}

}  // namespace tidemark::bench
