// One plain HTTP request over HTTP/2 and its answer.
//
// Bound to the connection's loop; the answer may be given on any thread.
#pragma once

#include <memory>
#include <string>

#include "src/server/http2/stream.h"
#include "src/server/rpc.h"
#include "src/server/transport/request_head.h"

namespace tidemark::server {

class Http2Connection;
class EventLoop;

class Http2Exchange final : public http2::Stream,
                            public std::enable_shared_from_this<Http2Exchange> {
 public:
  static std::shared_ptr<Http2Exchange> Start(Http2Connection& connection, uint32_t stream_id,
                                              RequestHead head);
  Http2Exchange(Http2Connection& connection, uint32_t stream_id, RequestHead head);

  void OnData(absl::string_view bytes) override;
  void OnInputEnd() override;
  void OnClosed(http2::ErrorCode code) override;
  Ready PeekOutput(size_t max_bytes) override;
  void TakeOutput(size_t byte_count, OutputQueue& queue) override;

 private:
  void Respond(HttpResponse response);
  void Count(int64_t bytes);

  Http2Connection* connection_;  // nullptr once the stream is closed
  EventLoop& loop_;
  const uint32_t stream_id_;
  HttpRequest request_;
  size_t assembling_bytes_ = 0;
  int64_t counted_bytes_ = 0;  // for the exchange and its answer
  bool responded_ = false;
  bool is_head_ = false;
  std::shared_ptr<const std::string> body_;
  size_t body_taken_bytes_ = 0;
};

}  // namespace tidemark::server
