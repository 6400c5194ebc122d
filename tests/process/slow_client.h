// gRPC calls over one HTTP/2 connection, read no further than the test says: thousands of slow
// clients in one thread.
//
// Hides nghttp2's client side. Bound to one thread; nothing happens but in Pump.
#pragma once

#include <nghttp2/nghttp2.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"

namespace tidemark::process {

class SlowClient {
 public:
  struct Call {
    size_t received_bytes = 0;  // of messages, framed
    std::string kept;           // the same, where asked for
    bool keeps = false;
    bool reads_all = false;
    std::string grpc_status;  // empty while there is none
    std::string grpc_message;
    bool closed = false;
    uint32_t error_code = 0;  // of HTTP/2
    bool refused_busy() const;
    size_t unread_bytes = 0;  // received, and not given back to the windows
    int32_t id = 0;
    std::string request;
    size_t request_sent_bytes = 0;
    bool half_closes = true;
  };

  // `window_bytes`: so much of each call is taken before anything is read.
  SlowClient(const std::string& endpoint, int32_t window_bytes);
  ~SlowClient();
  SlowClient(const SlowClient&) = delete;

  // A call with one request message. The reference stays valid.
  Call& Start(absl::string_view path, const std::string& message, bool half_closes, bool keeps);
  // Gives up to `bytes` of each call back: the server may send as much again.
  void ReadSome(size_t bytes);
  // From now on everything is read as it comes: of one call, or of all.
  void ReadAll(Call& call);
  void ReadAll();
  // Moves what can be moved without waiting. False once the server has closed the connection.
  bool Pump();
  int fd() const { return fd_; }

 private:
  struct Callbacks;

  void Consume(Call& call, size_t bytes);

  int fd_;
  nghttp2_session* session_ = nullptr;
  std::string unsent_;
  std::map<int32_t, std::unique_ptr<Call>> calls_;
};

}  // namespace tidemark::process
