#include "tests/crash/writer.h"

#include <grpcpp/grpcpp.h>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace tidemark::crash {
namespace {

constexpr absl::Duration kSettleLimit = absl::Seconds(60);

void SetDeadline(grpc::ClientContext* context) {
  context->set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(2)));
  context->set_wait_for_ready(true);
}

}  // namespace

Writer::Writer(std::shared_ptr<grpc::Channel> channel, WriteKind kind,
               std::vector<std::string> keys)
    : kv_(etcdserverpb::KV::NewStub(channel)),
      lease_(etcdserverpb::Lease::NewStub(channel)),
      kind_(kind),
      keys_(std::move(keys)),
      thread_([this] { Loop(); }) {}

Writer::~Writer() { Stop(); }

void Writer::Stop() {
  stopping_ = true;
  if (thread_.joinable()) thread_.join();
}

void Writer::Loop() {
  while (violation_.empty() && !stopping_) {
    if (unsettled_ && !Settle()) continue;
    WriteOnce();
  }
  const absl::Time deadline = absl::Now() + kSettleLimit;
  while (unsettled_ && violation_.empty() && absl::Now() < deadline) Settle();
  if (unsettled_) Violate("the last write could not be settled: the server does not answer");
}

grpc::Status Writer::EnsureLease() {
  if (kind_ != WriteKind::kLeasedPut || lease_id_ != 0) return grpc::Status::OK;
  grpc::ClientContext context;
  SetDeadline(&context);
  etcdserverpb::LeaseGrantRequest request;
  request.set_ttl(100000);
  etcdserverpb::LeaseGrantResponse response;
  grpc::Status status = lease_->LeaseGrant(&context, request, &response);
  if (status.ok()) lease_id_ = response.id();
  return status;
}

grpc::Status Writer::Send(int64_t counter, int64_t* revision, bool* applied) {
  grpc::ClientContext context;
  SetDeadline(&context);
  *applied = true;
  const std::string value = absl::StrCat(counter, " ", std::string(counter % 700, 'x'));
  if (kind_ == WriteKind::kPut || kind_ == WriteKind::kLeasedPut) {
    etcdserverpb::PutRequest request;
    request.set_key(keys_[0]);
    request.set_value(value);
    request.set_lease(lease_id_);
    etcdserverpb::PutResponse response;
    grpc::Status status = kv_->Put(&context, request, &response);
    *revision = response.header().revision();
    return status;
  }
  etcdserverpb::TxnRequest request;
  etcdserverpb::Compare* compare = request.add_compare();
  compare->set_target(etcdserverpb::Compare::MOD);
  compare->set_key(keys_[0]);
  compare->set_mod_revision(mod_revision_);
  for (const std::string& key : keys_) {
    etcdserverpb::PutRequest* put = request.add_success()->mutable_request_put();
    put->set_key(key);
    put->set_value(value);
  }
  request.add_failure()->mutable_request_range()->set_key(keys_[0]);
  etcdserverpb::TxnResponse response;
  grpc::Status status = kv_->Txn(&context, request, &response);
  *revision = response.header().revision();
  *applied = response.succeeded();
  return status;
}

bool Writer::WriteOnce() {
  if (!EnsureLease().ok()) return false;
  int64_t revision = 0;
  bool applied = false;
  grpc::Status status = Send(counter_ + 1, &revision, &applied);
  if (!status.ok()) {
    unsettled_ = true;
    return false;
  }
  if (!applied) {
    // Nobody else writes this key, so the compare can only fail if an acknowledged write is gone or
    // one that was never sent is there.
    Violate(absl::StrCat("compare failed at counter ", counter_, ", mod revision ", mod_revision_));
    return false;
  }
  if (revision <= mod_revision_) Violate(absl::StrCat("revision went back to ", revision));
  ++counter_;
  mod_revision_ = revision;
  acknowledged_.push_back({counter_, revision});
  ++acknowledged_count_;
  return true;
}

bool Writer::Settle() {
  grpc::ClientContext context;
  SetDeadline(&context);
  etcdserverpb::RangeRequest request;
  request.set_key(keys_[0]);
  etcdserverpb::RangeResponse response;
  if (!kv_->Range(&context, request, &response).ok()) return false;
  int64_t stored = 0;
  int64_t mod_revision = 0;
  if (response.kvs_size() > 0) {
    const std::string& value = response.kvs(0).value();
    if (!absl::SimpleAtoi(value.substr(0, value.find(' ')), &stored)) Violate("garbled value");
    mod_revision = response.kvs(0).mod_revision();
  }
  if (stored != counter_ && stored != counter_ + 1) {
    Violate(absl::StrCat("after a crash the counter is ", stored, ", acknowledged was ", counter_));
  } else if (stored == counter_ && mod_revision != mod_revision_) {
    Violate(absl::StrCat("counter ", stored, " moved from revision ", mod_revision_, " to ",
                         mod_revision));
  } else if (stored == counter_ + 1) {
    ++counter_;
    mod_revision_ = mod_revision;
    acknowledged_.push_back({counter_, mod_revision});
  }
  unsettled_ = false;
  return true;
}

void Writer::Violate(const std::string& what) {
  if (violation_.empty()) violation_ = absl::StrCat(keys_[0], ": ", what);
}

}  // namespace tidemark::crash
