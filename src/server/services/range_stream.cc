#include "src/server/services/range_stream.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "src/base/check.h"
#include "src/base/failpoint.h"
#include "src/kvstore/request_checks.h"
#include "src/server/services/unary_call.h"

namespace tidemark::server {
namespace {

using etcdserverpb::RangeRequest;
using kvstore::RangeResult;

// Keys per question to the store. Only the question that reaches the client's limit counts the
// rest of the range; behind every other one there are more keys, or none.
constexpr int64_t kPageKeys = 10000;
constexpr size_t kFirstChunkKeys = 10;
// Messages wait while so much of earlier ones is not taken by the connection.
constexpr size_t kUnsentLimitBytes = 1 << 20;

class RangeStream : public std::enable_shared_from_this<RangeStream> {
 public:
  RangeStream(ServiceContext& context, ServerCallPtr call)
      : context_(context),
        call_(std::move(call)),
        unsent_charge_(*context.options().budget, MemoryAccount::kReads) {}

  void Start(RangeRequest request, size_t request_size_bytes);
  void SendMore();
  // The call is over: what was sent has left, or is given up.
  void End() {
    ended_ = true;
    page_ = RangeResult();
    unsent_charge_.Set(0);
  }
  void Finish(absl::Status status) {
    if (ended_) return;
    ended_ = true;
    page_ = RangeResult();
    call_->Finish(std::move(status));
  }

 private:
  absl::Status Check() const;
  void ReadPage();
  void OnPage(absl::StatusOr<kvstore::Reply<RangeResult>> reply);
  bool IsLastPage() const;
  void AdaptChunk(size_t sent_bytes);
  void CountUnsent();

  ServiceContext& context_;
  const ServerCallPtr call_;
  RangeRequest request_;  // key and revision move on with the pages
  int64_t limit_ = 0;     // the client's; 0: none
  size_t request_size_bytes_ = 0;
  bool ended_ = false;
  bool reading_ = false;

  std::optional<Revision> header_revision_;  // of the first page
  RangeResult page_;
  int64_t page_keys_sent_ = 0;
  bool have_page_ = false;
  bool page_is_counted_ = false;
  int64_t keys_sent_ = 0;  // before this page
  size_t chunk_keys_ = kFirstChunkKeys;
  double heap_per_byte_ = 0;  // of the newest message
  MemoryCharge unsent_charge_;
};

absl::Status RangeStream::Check() const {
  bool key_order = request_.sort_target() == RangeRequest::KEY;
  bool plain = request_.sort_order() == RangeRequest::NONE
                   ? key_order
                   : request_.sort_order() == RangeRequest::ASCEND && key_order;
  if (!plain) {
    return absl::UnimplementedError("RangeStream does not support custom sort orders");
  }
  if (request_.min_mod_revision() != 0 || request_.max_mod_revision() != 0 ||
      request_.min_create_revision() != 0 || request_.max_create_revision() != 0) {
    return absl::UnimplementedError("RangeStream does not support revision filters");
  }
  return absl::OkStatus();
}

void RangeStream::Start(RangeRequest request, size_t request_size_bytes) {
  request_ = std::move(request);
  request_size_bytes_ = request_size_bytes;
  limit_ = std::max<int64_t>(request_.limit(), 0);
  absl::Status status = kvstore::CheckRange(request_);
  if (status.ok()) status = Check();
  if (!status.ok()) return Finish(std::move(status));
  ReadPage();
}

void RangeStream::ReadPage() {
  CHECK(!reading_);
  reading_ = true;
  RangeRequest ask = request_;
  int64_t left = limit_ == 0 ? kPageKeys : std::min(kPageKeys, limit_ - keys_sent_);
  CHECK(left > 0);
  if (!request_.count_only()) ask.set_limit(left);
  page_is_counted_ = request_.count_only() || (limit_ > 0 && keys_sent_ + left >= limit_);
  auto answered =
      [self = shared_from_this()](absl::StatusOr<kvstore::Reply<RangeResult>> reply) mutable {
        Executor& loop = self->call_->loop();
        loop.Post([self = std::move(self), reply = std::move(reply)]() mutable {
          self->OnPage(std::move(reply));
        });
      };
  partition::CallContext context{request_size_bytes_, call_->cancelled()};
  if (page_is_counted_) {
    context_.router().Range(std::move(context), std::move(ask), std::move(answered));
  } else {
    context_.router().RangePage(std::move(context), std::move(ask), std::move(answered));
  }
}

void RangeStream::OnPage(absl::StatusOr<kvstore::Reply<RangeResult>> reply) {
  reading_ = false;
  if (ended_) return;
  if (!reply.ok()) return Finish(reply.status());
  if (!header_revision_) {
    header_revision_ = reply->revision;
    if (request_.revision() <= 0 && !PLANTED_BUG("range_stream_unpinned")) {
      request_.set_revision(reply->revision.value());
    }
  }
  page_ = std::move(reply->result);
  page_keys_sent_ = 0;
  have_page_ = true;
  SendMore();
}

// Nothing follows this page, all of which was sent: the range ends, or the client's limit.
bool RangeStream::IsLastPage() const {
  if (!page_.more) return true;
  return limit_ > 0 && keys_sent_ + page_keys_sent_ >= limit_;
}

// etcd's rule: towards messages between a half and two times max-request-bytes.
void RangeStream::AdaptChunk(size_t sent_bytes) {
  size_t aim_bytes = context_.options().max_request_bytes;
  if (sent_bytes < aim_bytes / 2) {
    chunk_keys_ = std::min<size_t>(chunk_keys_ * 2, kPageKeys);
  } else if (sent_bytes > 2 * aim_bytes) {
    chunk_keys_ = std::max<size_t>(chunk_keys_ / 2, 1);
  }
}

// Messages that only refer to what is stored hold little themselves.
void RangeStream::CountUnsent() {
  const double unsent_bytes = static_cast<double>(call_->unsent_bytes());
  unsent_charge_.Set(static_cast<int64_t>(unsent_bytes * heap_per_byte_));
}

void RangeStream::SendMore() {
  CountUnsent();
  while (!ended_ && have_page_ && call_->unsent_bytes() < kUnsentLimitBytes) {
    const kvstore::RangeItems items = page_.items.Take(chunk_keys_);
    page_keys_sent_ += static_cast<int64_t>(items.size());
    const bool page_ends = page_.items.empty();
    bool last = page_ends && IsLastPage();
    std::optional<RangeStreamEnd> tail;
    if (last) {
      CHECK(page_is_counted_ || !page_.more);
      const int64_t count = page_is_counted_ ? page_.count : page_keys_sent_;
      tail = RangeStreamEnd{context_.MakeHeader(*header_revision_), page_.more, keys_sent_ + count};
    }
    if (last || !items.empty()) {
      ByteChain message = EncodeRangeStream(items, tail);
      AdaptChunk(message.size_bytes());
      heap_per_byte_ =
          static_cast<double>(message.heap_bytes()) / static_cast<double>(message.size_bytes());
      call_->Send(std::move(message));
      CountUnsent();
    }
    if (last) return Finish(absl::OkStatus());
    if (!page_ends) continue;
    // The next page begins right behind the last key.
    CHECK(!items.empty());
    std::string next(items.back().key.data(), items.back().key.size());
    next.push_back('\0');
    request_.set_key(std::move(next));
    keys_sent_ += page_keys_sent_;
    page_ = RangeResult();
    have_page_ = false;
    ReadPage();
  }
}

class RangeStreamHandler final : public CallHandler {
 public:
  RangeStreamHandler(ServiceContext& context, ServerCallPtr call)
      : context_(context),
        call_(call),
        stream_(std::make_shared<RangeStream>(context, std::move(call))) {}

  void OnMessage(absl::string_view message) override {
    if (absl::Status status = context_.Admit(*call_, /*stream=*/true); !status.ok()) {
      return stream_->Finish(std::move(status));
    }
    RangeRequest request;
    if (!ParseRequest(message, request)) {
      return stream_->Finish(BadMessage());
    }
    stream_->Start(std::move(request), message.size());
  }
  void OnDrained() override { stream_->SendMore(); }
  void OnDone() override { stream_->End(); }

 private:
  ServiceContext& context_;
  const ServerCallPtr call_;
  const std::shared_ptr<RangeStream> stream_;
};

}  // namespace

std::unique_ptr<CallHandler> StartRangeStream(ServiceContext& context, ServerCallPtr call) {
  return std::make_unique<RangeStreamHandler>(context, std::move(call));
}

}  // namespace tidemark::server
