#include "src/server/services/lease_keep_alive.h"

#include <deque>
#include <optional>
#include <utility>

#include "src/base/failpoint.h"
#include "src/server/services/unary_call.h"

namespace tidemark::server {
namespace {

// Asked and not answered; a client that sends more without waiting is cut off.
constexpr size_t kMaxWaiting = 10000;

class KeepAliveStream : public std::enable_shared_from_this<KeepAliveStream> {
 public:
  KeepAliveStream(ServiceContext& context, ServerCallPtr call)
      : context_(context), call_(std::move(call)) {}

  void OnRequest(int64_t id);
  void OnHalfClose() {
    half_closed_ = true;
    FinishIfAllAnswered();
  }
  void OnTimeLimit();
  void End() { ended_ = true; }
  void Finish(absl::Status status) {
    if (ended_) return;
    End();
    call_->Finish(std::move(status));
  }

 private:
  struct Slot {
    int64_t id = 0;
    std::optional<ByteChain> answer;
  };

  void OnAnswer(uint64_t number, absl::StatusOr<kvstore::Reply<partition::LeaseRemaining>> reply);
  void SendAnswered();
  void NoteOldest();
  void FinishIfAllAnswered() {
    if (half_closed_ && slots_.empty()) Finish(absl::OkStatus());
  }

  ServiceContext& context_;
  const ServerCallPtr call_;
  std::deque<Slot> slots_;
  uint64_t first_number_ = 0;  // of slots_.front()
  absl::Duration oldest_since_;
  bool limit_is_set_ = false;
  bool half_closed_ = false;
  bool ended_ = false;
};

void KeepAliveStream::OnRequest(int64_t id) {
  if (ended_) return;
  if (slots_.size() >= kMaxWaiting) return Finish(kvstore::ErrTooManyRequests());
  uint64_t number = first_number_ + slots_.size();
  slots_.push_back({id, std::nullopt});
  if (slots_.size() == 1) NoteOldest();
  context_.router().LeaseKeepAlive(
      LeaseId(id), [self = shared_from_this(), number](
                       absl::StatusOr<kvstore::Reply<partition::LeaseRemaining>> reply) mutable {
        Executor& loop = self->call_->loop();
        loop.Post([self = std::move(self), number, reply = std::move(reply)]() mutable {
          self->OnAnswer(number, std::move(reply));
        });
      });
}

void KeepAliveStream::OnAnswer(uint64_t number,
                               absl::StatusOr<kvstore::Reply<partition::LeaseRemaining>> reply) {
  if (ended_) return;
  CHECK(number >= first_number_ && number - first_number_ < slots_.size());
  Slot& slot = slots_[number - first_number_];
  CHECK(!slot.answer.has_value());
  if (!reply.ok()) return Finish(reply.status());
  const int64_t ttl_seconds = reply->result.ttl_seconds;  // 0: the lease is gone
  if (ttl_seconds > 0) context_.counters().leases_renewed.fetch_add(1, std::memory_order_relaxed);
  slot.answer = EncodeLease(context_.MakeHeader(reply->revision), slot.id, ttl_seconds);
  if (PLANTED_BUG("keepalive_out_of_order")) {
    call_->Send(*std::exchange(slot.answer, ByteChain()));
  }
  SendAnswered();
}

void KeepAliveStream::SendAnswered() {
  bool moved = false;
  while (!slots_.empty() && slots_.front().answer.has_value()) {
    if (!slots_.front().answer->empty()) call_->Send(*std::move(slots_.front().answer));
    slots_.pop_front();
    ++first_number_;
    moved = true;
  }
  if (moved) NoteOldest();
  FinishIfAllAnswered();
}

// The server's time limit runs for the oldest unanswered request. It is looked at when it is over,
// not moved with each answer.
void KeepAliveStream::NoteOldest() {
  if (slots_.empty()) return;
  oldest_since_ = context_.clock().Monotonic();
  if (std::exchange(limit_is_set_, true)) return;
  call_->SetTimeLimit(oldest_since_ + context_.options().request_timeout);
}

void KeepAliveStream::OnTimeLimit() {
  limit_is_set_ = false;
  if (ended_ || slots_.empty()) return;
  const absl::Duration limit = oldest_since_ + context_.options().request_timeout;
  if (context_.clock().Monotonic() >= limit) return Finish(kvstore::ErrTimeout());
  limit_is_set_ = true;
  call_->SetTimeLimit(limit);
}

class KeepAliveHandler final : public CallHandler {
 public:
  KeepAliveHandler(ServiceContext& context, ServerCallPtr call)
      : stream_(std::make_shared<KeepAliveStream>(context, call)) {
    absl::Status status = context.Admit(*call, /*stream=*/true);
    if (!status.ok()) stream_->Finish(std::move(status));
  }
  ~KeepAliveHandler() override { stream_->End(); }

  void OnMessage(absl::string_view message) override {
    etcdserverpb::LeaseKeepAliveRequest request;
    if (!ParseRequest(message, request)) {
      return stream_->Finish(BadMessage());
    }
    stream_->OnRequest(request.id());
  }
  void OnHalfClose() override { stream_->OnHalfClose(); }
  void OnTimeLimit() override { stream_->OnTimeLimit(); }
  void OnDone() override { stream_->End(); }

 private:
  const std::shared_ptr<KeepAliveStream> stream_;
};

}  // namespace

std::unique_ptr<CallHandler> StartLeaseKeepAlive(ServiceContext& context, ServerCallPtr call) {
  return std::make_unique<KeepAliveHandler>(context, std::move(call));
}

}  // namespace tidemark::server
