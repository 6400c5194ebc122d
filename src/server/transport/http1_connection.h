// HTTP/1.x on one connection: one request at a time to the HttpHandler, answers in order.
//
// Bound to the connection's loop; answers may be given on any thread.
//
// 1. While a request is being answered nothing is read, and the next one of a pipeline waits until
//    the answer is written.
// 2. A request that takes too long to arrive is answered 408; an idle connection is closed.
#pragma once

#include <memory>
#include <string>

#include "src/server/transport/connection.h"
#include "src/server/transport/http1_parser.h"
#include "src/server/transport/protocol.h"

namespace tidemark::server {

class Http1Connection final : public Protocol {
 public:
  explicit Http1Connection(Connection& connection);

  bool OnInput(absl::string_view bytes) override;
  bool OnInputEnd() override;
  bool FillOutput(OutputQueue& queue) override;
  bool WantsInput() const override {
    return !answering_ && !ending_ && !input_ended_ && !HasOutput() && unread_.empty();
  }
  size_t held_bytes() const override {
    return unread_.size() + pending_output_.size() + response_body_.size() + parser_.held_bytes();
  }
  bool IsIdle() const override { return !answering_ && !HasOutput(); }
  void OnMemoryShort() override;
  void BeginShutdown() override;
  void OnClosed() override;

 private:
  // Outlives the connection: answers may come late.
  struct Anchor {
    Http1Connection* connection;
    EventLoop* loop;
  };

  bool HasOutput() const { return !pending_output_.empty() || !response_body_.empty(); }
  void Advance();
  void StartRequest(HttpRequest request);
  void Respond(HttpResponse response);
  void ArmTimer(absl::Duration timeout);
  void OnTimer();

  Connection& connection_;
  const std::shared_ptr<Anchor> anchor_;
  Http1Parser parser_;
  std::string unread_;  // behind the request being answered
  std::string pending_output_;
  std::string response_body_;
  TimerId timer_ = 0;
  bool in_request_ = false;  // the timer is that of a request's arrival
  bool is_head_ = false;
  bool answering_ = false;
  bool ending_ = false;
  bool input_ended_ = false;
  bool shutting_down_ = false;
};

}  // namespace tidemark::server
