#include "src/server/transport/http2_exchange.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "src/server/transport/http2_connection.h"
#include "src/server/transport/http_text.h"

namespace tidemark::server {
namespace {

constexpr int64_t kExchangeBytes = 2 << 10;

}  // namespace

std::shared_ptr<Http2Exchange> Http2Exchange::Start(Http2Connection& connection, uint32_t stream_id,
                                                    RequestHead head) {
  const size_t limit = connection.connection().context().options.max_metadata_bytes;
  const size_t head_bytes = head.size_bytes;
  const bool too_large = head_bytes > limit;
  const bool busy = !connection.connection().context().HasMemory(/*essential=*/true);
  auto exchange = std::make_shared<Http2Exchange>(connection, stream_id, std::move(head));
  exchange->Count(kExchangeBytes + static_cast<int64_t>(std::min(head_bytes, limit)));
  if (too_large || busy) exchange->Respond(HttpError(too_large ? 431 : 503));
  return exchange;
}

Http2Exchange::Http2Exchange(Http2Connection& connection, uint32_t stream_id, RequestHead head)
    : connection_(&connection), loop_(connection.connection().loop()), stream_id_(stream_id) {
  is_head_ = head.method == "HEAD";
  request_.method = std::move(head.method);
  SplitTarget(head.path(), request_.path, request_.query);
  request_.headers = std::move(head.metadata);
  if (!head.authority.empty()) request_.headers.Add("host", head.authority);
  if (!head.content_type.empty()) request_.headers.Add("content-type", head.content_type);
  request_.peer = connection.connection().peer();
}

void Http2Exchange::OnData(absl::string_view bytes) {
  connection_->Consume(stream_id_, bytes.size());
  if (responded_) return;
  const size_t limit = connection_->connection().context().options.max_http_body_bytes;
  assembling_bytes_ += bytes.size();
  if (!connection_->AddAssembling(bytes.size()) || assembling_bytes_ > limit) {
    return Respond(HttpError(413));
  }
  request_.body.append(bytes.data(), bytes.size());
}

void Http2Exchange::OnInputEnd() {
  if (responded_) return;
  const HttpHandler& handler = connection_->connection().context().http_handler;
  if (handler == nullptr) return Respond(HttpError(404));
  handler(std::move(request_), [self = shared_from_this()](HttpResponse response) {
    if (self->loop_.IsCurrent()) return self->Respond(std::move(response));
    self->loop_.Post(
        [self, response = std::move(response)]() mutable { self->Respond(std::move(response)); });
  });
}

void Http2Exchange::Respond(HttpResponse response) {
  if (responded_ || connection_ == nullptr) return;
  responded_ = true;
  body_ = std::make_shared<const std::string>(std::move(response.body));
  std::vector<std::pair<std::string, std::string>> headers;
  headers.emplace_back(":status", absl::StrCat(response.status));
  for (auto& [name, value] : response.headers) {
    headers.emplace_back(absl::AsciiStrToLower(name), std::move(value));
  }
  headers.emplace_back("content-length", absl::StrCat(body_->size()));
  headers.emplace_back("date", HttpDate(loop_.clock().Wall()));
  std::vector<http2::Header> views;
  views.reserve(headers.size());
  for (const auto& [name, value] : headers) views.push_back({name, value});
  connection_->AddUnsent(body_->size());
  Count(static_cast<int64_t>(body_->size()));
  connection_->Respond(stream_id_, views, !body_->empty() && !is_head_);
}

http2::Stream::Ready Http2Exchange::PeekOutput(size_t max_bytes) {
  const size_t rest = body_->size() - body_taken_bytes_;
  const size_t n = std::min(max_bytes, rest);
  return {n, n == rest};
}

void Http2Exchange::TakeOutput(size_t byte_count, OutputQueue& queue) {
  queue.Append(absl::string_view(*body_).substr(body_taken_bytes_, byte_count), body_);
  body_taken_bytes_ += byte_count;
  connection_->RemoveUnsent(byte_count);
}

void Http2Exchange::Count(int64_t bytes) {
  counted_bytes_ += bytes;
  connection_->connection().CountMemory(bytes);
}

void Http2Exchange::OnClosed(http2::ErrorCode) {
  if (body_ != nullptr) connection_->RemoveUnsent(body_->size() - body_taken_bytes_);
  connection_->RemoveAssembling(assembling_bytes_);
  Count(-counted_bytes_);
  connection_ = nullptr;
}

}  // namespace tidemark::server
