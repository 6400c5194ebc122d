// etcdserverpb.Watch: a client's stream in front of a partition::WatchStream.
#include <algorithm>
#include <atomic>
#include <memory>
#include <utility>

#include "src/base/failpoint.h"
#include "src/kvstore/etcd_errors.h"
#include "src/server/services/services.h"
#include "src/server/services/unary_call.h"
#include "src/server/services/watch_message.h"

namespace tidemark::server {
namespace {

// etcd's slack of gRPC's message limit over max-request-bytes.
constexpr size_t kGrpcOverheadBytes = 512 * 1024;

// Turns the stream's output into WatchResponses and gives credit back as they leave.
class WatchCall final : public partition::WatchOutput,
                        public std::enable_shared_from_this<WatchCall> {
 public:
  WatchCall(ServiceContext& context, ServerCallPtr call)
      : context_(context), call_(std::move(call)), cancelled_(call_->cancelled()) {
    context_.counters().watch_streams.fetch_add(1, std::memory_order_relaxed);
  }
  ~WatchCall() override {
    context_.counters().watch_streams.fetch_sub(1, std::memory_order_relaxed);
  }

  void Open() { stream_ = context_.router().OpenWatch(call_->loop(), *this); }
  void Close();
  void Refuse(absl::Status status);
  void OnRequest(const etcdserverpb::WatchRequest& request);
  void GiveCredit();

  void OnCreated(int64_t watch_id, Revision header_revision) override;
  void OnCreateRefused(Revision header_revision, absl::string_view reason) override;
  void OnEvents(int64_t watch_id, mvcc::EventBatchPtr batch, Revision header_revision,
                bool may_fragment) override;
  void OnCanceled(int64_t watch_id, Revision header_revision) override;
  void OnCompacted(int64_t watch_id, Revision compact_revision) override;
  void OnProgress(int64_t watch_id, Revision header_revision) override;

 private:
  void Send(const WatchReply& reply) { call_->Send(EncodeWatch(reply, ByteChain())); }
  WatchReply Reply(int64_t watch_id, Revision header_revision) const {
    WatchReply reply;
    reply.header = context_.MakeHeader(header_revision);
    reply.watch_id = watch_id;
    return reply;
  }
  void StartTicker();
  void Tick();

  ServiceContext& context_;
  const ServerCallPtr call_;
  const std::shared_ptr<const std::atomic<bool>> cancelled_;
  std::unique_ptr<partition::WatchStream> stream_;  // nullptr once closed
  size_t owed_bytes_ = 0;                           // of events, not yet given back as credit
  TimerId ticker_ = 0;
};

void WatchCall::Close() {
  stream_.reset();
  if (ticker_ != 0) call_->loop().Cancel(ticker_);
  ticker_ = 0;
}

void WatchCall::Refuse(absl::Status status) {
  Close();
  call_->Finish(std::move(status));
}

void WatchCall::OnRequest(const etcdserverpb::WatchRequest& request) {
  if (stream_ == nullptr) return;
  bool taken = true;
  if (request.has_create_request()) {
    if (request.create_request().progress_notify()) StartTicker();
    taken = stream_->Create(request.create_request());
  } else if (request.has_cancel_request()) {
    taken = stream_->Cancel(request.cancel_request().watch_id());
  } else if (request.has_progress_request()) {
    taken = stream_->RequestProgress();
  }
  if (!taken) Refuse(kvstore::ErrTooManyRequests());
}

// One ticker per stream, with up to a tenth of jitter so that streams do not tick together.
void WatchCall::StartTicker() {
  if (ticker_ != 0) return;
  absl::Duration interval = context_.options().watch_progress_notify_interval;
  double jitter = static_cast<double>(context_.random().Next() % 1000) / 10000;
  ticker_ = call_->loop().PostAt(context_.clock().Monotonic() + interval + interval * jitter,
                                 [weak = weak_from_this()] {
                                   if (auto self = weak.lock()) self->Tick();
                                 });
}

void WatchCall::Tick() {
  ticker_ = 0;
  if (stream_ == nullptr) return;
  stream_->NotifyProgress();
  StartTicker();
}

void WatchCall::GiveCredit() {
  if (stream_ == nullptr || owed_bytes_ == 0 || cancelled_->load()) return;
  size_t unsent_bytes = std::min(call_->unsent_bytes(), owed_bytes_);
  size_t left_bytes = owed_bytes_ - unsent_bytes;
  owed_bytes_ = unsent_bytes;
  if (left_bytes > 0 && !PLANTED_BUG("watch_credit_lost")) stream_->Consumed(left_bytes);
  if (owed_bytes_ > 0 && !PLANTED_BUG("watch_credit_of_small_events_late")) {
    call_->NotifyWhenTaken();
  }
}

void WatchCall::OnCreated(int64_t watch_id, Revision header_revision) {
  WatchReply reply = Reply(watch_id, header_revision);
  reply.created = true;
  Send(reply);
}

void WatchCall::OnCreateRefused(Revision header_revision, absl::string_view reason) {
  WatchReply reply = Reply(-1, header_revision);
  reply.created = true;
  reply.canceled = true;
  reply.cancel_reason = reason;
  Send(reply);
}

void WatchCall::OnEvents(int64_t watch_id, mvcc::EventBatchPtr batch, Revision header_revision,
                         bool may_fragment) {
  WatchReply reply = Reply(watch_id, header_revision);
  const size_t events_bytes = batch->encoded_size_bytes();
  owed_bytes_ += events_bytes;
  size_t limit_bytes = context_.options().max_request_bytes + kGrpcOverheadBytes;
  constexpr size_t kReplyBytes = 64;  // room for header and id
  if (!may_fragment || events_bytes + kReplyBytes < limit_bytes || batch->events().size() < 2) {
    call_->Send(EncodeEventsFor(reply, batch));
  } else {
    std::vector<ByteChain> parts = SplitEvents(batch->Encoded(), limit_bytes - kReplyBytes);
    for (size_t i = 0; i < parts.size(); ++i) {
      reply.fragment = i + 1 < parts.size();
      call_->Send(EncodeWatch(reply, parts[i]));
    }
  }
  GiveCredit();
}

void WatchCall::OnCanceled(int64_t watch_id, Revision header_revision) {
  WatchReply reply = Reply(watch_id, header_revision);
  reply.canceled = true;
  Send(reply);
}

void WatchCall::OnCompacted(int64_t watch_id, Revision compact_revision) {
  WatchReply reply = Reply(watch_id, Revision(0));
  reply.canceled = true;
  reply.compact_revision = compact_revision;
  Send(reply);
}

void WatchCall::OnProgress(int64_t watch_id, Revision header_revision) {
  Send(Reply(watch_id, header_revision));
}

class WatchHandler final : public CallHandler {
 public:
  WatchHandler(ServiceContext& context, ServerCallPtr call)
      : watch_(std::make_shared<WatchCall>(context, call)) {
    absl::Status status = context.Admit(*call, /*stream=*/true);
    if (status.ok()) {
      watch_->Open();
    } else {
      watch_->Refuse(std::move(status));
    }
  }
  ~WatchHandler() override { watch_->Close(); }

  void OnMessage(absl::string_view message) override {
    etcdserverpb::WatchRequest request;
    if (!ParseRequest(message, request)) {
      return watch_->Refuse(BadMessage());
    }
    watch_->OnRequest(request);
  }
  void OnDrained() override { watch_->GiveCredit(); }
  void OnDone() override { watch_->Close(); }

 private:
  const std::shared_ptr<WatchCall> watch_;
};

}  // namespace

void AddWatchService(ServiceContext& context, std::vector<Method>& methods) {
  methods.push_back({.path = "/etcdserverpb.Watch/Watch",
                     .kind = CallKind::kBidiStream,
                     .start =
                         [&context](ServerCallPtr call) {
                           return std::make_unique<WatchHandler>(context, std::move(call));
                         },
                     .lasting = true});
}

}  // namespace tidemark::server
