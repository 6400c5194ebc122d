#include "src/server/transport/http1_connection.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "src/base/failpoint.h"
#include "src/server/transport/http_text.h"

namespace tidemark::server {
namespace {

Http1Limits LimitsOf(const TransportOptions& options) {
  Http1Limits limits;
  limits.max_head_bytes = options.max_metadata_bytes;
  limits.max_body_bytes = options.max_http_body_bytes;
  return limits;
}

}  // namespace

Http1Connection::Http1Connection(Connection& connection)
    : connection_(connection),
      anchor_(std::make_shared<Anchor>(Anchor{this, &connection.loop()})),
      parser_(LimitsOf(connection.context().options)) {
  ArmTimer(connection.context().options.http1_request_timeout);
  in_request_ = true;
}

void Http1Connection::ArmTimer(absl::Duration timeout) {
  connection_.loop().Cancel(timer_);
  timer_ = connection_.CallAt(connection_.loop().now() + timeout, [this] { OnTimer(); });
}

void Http1Connection::OnTimer() {
  if (answering_ || ending_) return;
  if (!in_request_) return connection_.Close();
  Respond(HttpError(408));
}

bool Http1Connection::OnInput(absl::string_view bytes) {
  if (ending_) return false;
  if (!connection_.context().HasMemory(/*essential=*/true)) {
    Respond(HttpError(503));
    return false;
  }
  unread_.append(bytes.data(), bytes.size());
  Advance();
  return !ending_;
}

bool Http1Connection::OnInputEnd() {
  // A client may close its side and wait for its answers.
  input_ended_ = true;
  const bool is_being_written =
      connection_.has_output() && !PLANTED_BUG("transport_half_close_cuts_an_answer");
  return answering_ || HasOutput() || !unread_.empty() || is_being_written;
}

void Http1Connection::Advance() {
  while (!answering_ && !ending_ && !HasOutput() && !unread_.empty()) {
    absl::string_view rest = unread_;
    const Http1Parser::Result result = parser_.Parse(rest);
    unread_.erase(0, unread_.size() - rest.size());
    if (parser_.TakeExpectContinue() && result == Http1Parser::Result::kMore) {
      absl::StrAppend(&pending_output_, "HTTP/1.1 100 Continue\r\n\r\n");
      connection_.MarkDirty();
    }
    switch (result) {
      case Http1Parser::Result::kMore:
        if (in_request_ || !parser_.in_request()) return;
        in_request_ = true;
        return ArmTimer(connection_.context().options.http1_request_timeout);
      case Http1Parser::Result::kError:
        return Respond(HttpError(parser_.error_status()));
      case Http1Parser::Result::kRequest:
        StartRequest(parser_.TakeRequest());
    }
  }
}

void Http1Connection::StartRequest(HttpRequest request) {
  answering_ = true;
  connection_.loop().Cancel(timer_);
  request.peer = connection_.peer();
  is_head_ = request.method == "HEAD";
  const HttpHandler& handler = connection_.context().http_handler;
  if (handler == nullptr) return Respond(HttpError(404));
  handler(std::move(request), [anchor = anchor_](HttpResponse response) {
    const auto respond = [anchor](HttpResponse answer) {
      if (anchor->connection != nullptr) anchor->connection->Respond(std::move(answer));
    };
    if (anchor->loop->IsCurrent()) return respond(std::move(response));
    anchor->loop->Post(
        [respond, response = std::move(response)]() mutable { respond(std::move(response)); });
  });
}

void Http1Connection::Respond(HttpResponse response) {
  if (ending_) return;
  const bool keep_alive =
      answering_ && parser_.keep_alive() && !shutting_down_ && !(input_ended_ && unread_.empty());
  std::string& out = pending_output_;
  absl::StrAppend(&out, "HTTP/1.1 ", response.status, " ", ReasonPhrase(response.status), "\r\n");
  for (const auto& [name, value] : response.headers)
    absl::StrAppend(&out, name, ": ", value, "\r\n");
  absl::StrAppend(&out, "Date: ", HttpDate(connection_.loop().clock().Wall()), "\r\n");
  absl::StrAppend(&out, "Content-Length: ", response.body.size(), "\r\n");
  if (!keep_alive) absl::StrAppend(&out, "Connection: close\r\n");
  absl::StrAppend(&out, "\r\n");
  if (!is_head_) response_body_ = std::move(response.body);
  answering_ = is_head_ = in_request_ = false;
  connection_.loop().Cancel(timer_);
  if (keep_alive) {
    parser_.Reset();
    ArmTimer(connection_.context().options.http1_idle_timeout);
  } else {
    ending_ = true;
  }
  connection_.MarkDirty();
}

bool Http1Connection::FillOutput(OutputQueue& queue) {
  // What stays here keeps the client from being read.
  if (queue.size_bytes() >= connection_.context().options.output_queue_bytes) return !ending_;
  queue.AppendCopy(pending_output_);
  pending_output_.clear();
  if (!response_body_.empty()) {
    const SharedBytes body = SharedBytes::Own(std::exchange(response_body_, std::string()));
    queue.Append(body.view(), body.owner());
  }
  // The next pipelined request, once this answer is on its way.
  if (queue.empty() && !answering_ && !ending_ && !unread_.empty()) {
    Advance();
    if (HasOutput()) return FillOutput(queue);
  }
  if (input_ended_ && !answering_ && queue.empty()) ending_ = true;
  return !ending_;
}

void Http1Connection::OnMemoryShort() {
  connection_.CloseIfStuck(connection_.context().options.slow_answer_time);
}

void Http1Connection::BeginShutdown() {
  shutting_down_ = true;
  if (!answering_) ending_ = true;
}

void Http1Connection::OnClosed() {
  anchor_->connection = nullptr;
  connection_.loop().Cancel(timer_);
}

}  // namespace tidemark::server
