#include "tests/differential/server_client.h"

#include "absl/time/clock.h"
#include "src/base/check.h"

namespace tidemark::differential {
namespace {

void SetDeadline(grpc::ClientContext* context) {
  context->set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(20)));
}

}  // namespace

ServerClient::ServerClient(std::shared_ptr<grpc::Channel> channel)
    : channel_(channel),
      kv_(etcdserverpb::KV::NewStub(channel)),
      lease_(etcdserverpb::Lease::NewStub(channel)),
      maintenance_(etcdserverpb::Maintenance::NewStub(channel)) {}

Answer ServerClient::Call(const Request& request) {
  grpc::ClientContext context;
  SetDeadline(&context);
  Answer answer;
  auto call = [&](auto& stub, auto method, const auto& message, auto response) {
    answer.status = (stub.get()->*method)(&context, message, response.get());
    answer.response = std::move(response);
  };
  using etcdserverpb::KV;
  using etcdserverpb::Lease;
  using etcdserverpb::Maintenance;
  struct Visitor {
    ServerClient* self;
    decltype(call)& invoke;
    grpc::ClientContext& context;
    Answer& answer;
    void operator()(const etcdserverpb::RangeRequest& r) {
      invoke(self->kv_, &KV::Stub::Range, r, std::make_unique<etcdserverpb::RangeResponse>());
    }
    void operator()(const etcdserverpb::PutRequest& r) {
      invoke(self->kv_, &KV::Stub::Put, r, std::make_unique<etcdserverpb::PutResponse>());
    }
    void operator()(const etcdserverpb::DeleteRangeRequest& r) {
      invoke(self->kv_, &KV::Stub::DeleteRange, r,
             std::make_unique<etcdserverpb::DeleteRangeResponse>());
    }
    void operator()(const etcdserverpb::TxnRequest& r) {
      invoke(self->kv_, &KV::Stub::Txn, r, std::make_unique<etcdserverpb::TxnResponse>());
    }
    void operator()(const etcdserverpb::CompactionRequest& r) {
      invoke(self->kv_, &KV::Stub::Compact, r,
             std::make_unique<etcdserverpb::CompactionResponse>());
    }
    void operator()(const etcdserverpb::LeaseGrantRequest& r) {
      invoke(self->lease_, &Lease::Stub::LeaseGrant, r,
             std::make_unique<etcdserverpb::LeaseGrantResponse>());
    }
    void operator()(const etcdserverpb::LeaseRevokeRequest& r) {
      invoke(self->lease_, &Lease::Stub::LeaseRevoke, r,
             std::make_unique<etcdserverpb::LeaseRevokeResponse>());
    }
    void operator()(const etcdserverpb::LeaseTimeToLiveRequest& r) {
      invoke(self->lease_, &Lease::Stub::LeaseTimeToLive, r,
             std::make_unique<etcdserverpb::LeaseTimeToLiveResponse>());
    }
    void operator()(const etcdserverpb::LeaseLeasesRequest& r) {
      invoke(self->lease_, &Lease::Stub::LeaseLeases, r,
             std::make_unique<etcdserverpb::LeaseLeasesResponse>());
    }
    void operator()(const etcdserverpb::LeaseKeepAliveRequest& r) {
      auto stream = self->lease_->LeaseKeepAlive(&context);
      auto response = std::make_unique<etcdserverpb::LeaseKeepAliveResponse>();
      stream->Write(r);
      stream->WritesDone();
      stream->Read(response.get());
      answer.status = stream->Finish();
      answer.response = std::move(response);
    }
    void operator()(const etcdserverpb::HashKVRequest& r) {
      invoke(self->maintenance_, &Maintenance::Stub::HashKV, r,
             std::make_unique<etcdserverpb::HashKVResponse>());
    }
    void operator()(const etcdserverpb::AlarmRequest& r) {
      invoke(self->maintenance_, &Maintenance::Stub::Alarm, r,
             std::make_unique<etcdserverpb::AlarmResponse>());
    }
  };
  std::visit(Visitor{this, call, context, answer}, request);
  return answer;
}

Answer ServerClient::RangeStream(const etcdserverpb::RangeRequest& request) {
  grpc::ClientContext context;
  SetDeadline(&context);
  auto reader = kv_->RangeStream(&context, request);
  auto merged = std::make_unique<etcdserverpb::RangeResponse>();
  etcdserverpb::RangeStreamResponse part;
  while (reader->Read(&part)) merged->MergeFrom(part.range_response());
  Answer answer;
  answer.status = reader->Finish();
  answer.response = std::move(merged);
  return answer;
}

int64_t ServerClient::CurrentRevision() {
  etcdserverpb::RangeRequest request;
  request.set_key("no such key");
  Answer answer = Call(request);
  CHECK_MSG(answer.status.ok(), answer.status.error_message());
  return static_cast<etcdserverpb::RangeResponse&>(*answer.response).header().revision();
}

WatchSession::WatchSession(std::shared_ptr<grpc::Channel> channel)
    : stub_(etcdserverpb::Watch::NewStub(channel)),
      stream_(stub_->Watch(&context_)),
      reader_([this] { ReadLoop(); }) {}

WatchSession::~WatchSession() {
  context_.TryCancel();
  reader_.join();
}

void WatchSession::ReadLoop() {
  etcdserverpb::WatchResponse response;
  while (stream_->Read(&response)) {
    absl::MutexLock lock(&mutex_);
    if (response.created()) {
      created_.push_back(response);
      if (!response.canceled()) live_.insert(response.watch_id());
      WatchRecord& record = records_[response.watch_id()];
      record.control.push_back(response);
      record.last_revision = 0;  // the id may have belonged to a watch cancelled before
    } else if (response.canceled()) {
      live_.erase(response.watch_id());
      records_[response.watch_id()].control.push_back(response);
    } else if (response.events().empty()) {
      if (response.watch_id() == -1) {
        progress_revision_ = std::max(progress_revision_, response.header().revision());
      }
    } else {
      WatchRecord& record = records_[response.watch_id()];
      const int64_t first = response.events(0).kv().mod_revision();
      if (record.last_revision >= first) ++record.split_revisions;
      record.last_revision = response.events().rbegin()->kv().mod_revision();
      for (const mvccpb::Event& event : response.events()) record.events.push_back(event);
    }
  }
  absl::MutexLock lock(&mutex_);
  ended_ = true;
}

etcdserverpb::WatchResponse WatchSession::Create(const etcdserverpb::WatchCreateRequest& create) {
  etcdserverpb::WatchRequest request;
  *request.mutable_create_request() = create;
  size_t before;
  {
    absl::MutexLock lock(&mutex_);
    before = created_.size();
  }
  CHECK(stream_->Write(request));
  absl::MutexLock lock(&mutex_);
  auto answered = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return created_.size() > before || ended_;
  };
  CHECK_MSG(mutex_.AwaitWithTimeout(absl::Condition(&answered), absl::Seconds(20)) && !ended_,
            "no answer to a watch create");
  return created_.back();
}

void WatchSession::Cancel(int64_t watch_id) {
  etcdserverpb::WatchRequest request;
  request.mutable_cancel_request()->set_watch_id(watch_id);
  CHECK(stream_->Write(request));
  absl::MutexLock lock(&mutex_);
  auto gone = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return live_.count(watch_id) == 0 || ended_;
  };
  CHECK_MSG(mutex_.AwaitWithTimeout(absl::Condition(&gone), absl::Seconds(20)),
            "no answer to a watch cancel");
}

bool WatchSession::AwaitProgress(int64_t revision, absl::Duration limit) {
  const absl::Time deadline = absl::Now() + limit;
  while (absl::Now() < deadline) {
    etcdserverpb::WatchRequest request;
    request.mutable_progress_request();
    if (!stream_->Write(request)) return false;
    absl::MutexLock lock(&mutex_);
    auto there = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return progress_revision_ >= revision || live_.empty() || ended_;
    };
    if (mutex_.AwaitWithTimeout(absl::Condition(&there), absl::Milliseconds(20))) return !ended_;
  }
  return false;
}

std::map<int64_t, WatchRecord> WatchSession::Take() {
  absl::MutexLock lock(&mutex_);
  std::map<int64_t, WatchRecord> taken;
  taken.swap(records_);
  return taken;
}

void WatchSession::AwaitNoWatches(absl::Duration limit) {
  absl::MutexLock lock(&mutex_);
  auto none = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return live_.empty() || ended_; };
  mutex_.AwaitWithTimeout(absl::Condition(&none), limit);
}

int WatchSession::live_watches() const {
  absl::MutexLock lock(&mutex_);
  return live_.size();
}

}  // namespace tidemark::differential
