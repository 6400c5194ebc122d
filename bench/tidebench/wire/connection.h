// Calls over one HTTP/2 connection.
//
// Hides nghttp2's client session, flow control and gRPC's headers. What calls send collects until
// Flush, which the loop calls once a turn for all of them: one write carries many requests, as with
// any busy client. Bound to one thread.
#pragma once

#include <nghttp2/nghttp2.h>

#include <memory>
#include <string>

#include <google/protobuf/message_lite.h>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "bench/tidebench/wire/call.h"
#include "bench/tidebench/wire/socket.h"

namespace tidemark::bench {

struct ConnectionOptions {
  // In each direction that is the client's to set: large, so that it is never the client who waits.
  int32_t stream_window_bytes = 16 << 20;
  int32_t connection_window_bytes = 64 << 20;
  std::string grpc_timeout = "60S";  // empty: none
};

class Connection {
 public:
  Connection(Socket socket, const Endpoint& endpoint, ConnectionOptions options);
  ~Connection();  // calls still open hear nothing more

  // `path` as "/etcdserverpb.KV/Put", living as long as the connection. `is_unary` sends a
  // deadline.
  void Start(Call* call, absl::string_view path, bool is_unary = true);
  void Send(Call* call, const google::protobuf::MessageLite& message);
  void EndInput(Call* call);
  void Cancel(Call* call);  // it ends, later, with status Cancelled or what came before

  int fd() const { return socket_.fd(); }
  // Reads what is there and tells the calls.
  void OnReadable();
  // Writes what has collected; true when some of it is left, to be tried when there is room.
  bool Flush();
  bool is_dirty() const { return is_dirty_; }  // has something for Flush
  // Why it is over; then all calls have ended.
  const absl::Status& failure() const { return failure_; }

  int64_t writes() const { return writes_; }
  int64_t written_bytes() const { return written_bytes_; }
  int64_t read_bytes() const { return read_bytes_; }

 private:
  friend struct SessionCallbacks;

  void Fail(const absl::Status& status);
  void OnStreamClosed(Call* call, uint32_t http2_error);

  Socket socket_;
  const ConnectionOptions options_;
  const std::string scheme_;
  const std::string authority_;
  nghttp2_session* session_ = nullptr;
  std::string out_;  // from written_ on
  size_t out_begin_ = 0;
  bool is_dirty_ = true;  // the preface
  absl::flat_hash_set<Call*> open_;
  absl::Status failure_;
  int64_t writes_ = 0;
  int64_t written_bytes_ = 0;
  int64_t read_bytes_ = 0;
};

}  // namespace tidemark::bench
