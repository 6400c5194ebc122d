// Calls as handlers see them: requests, replies and streams, without HTTP/2.
//
// Hides framing, flow control, deadlines and the connection. Implemented by the transport
// (http2_connection, grpc_call); used by the services.
// A call belongs to its connection's event loop; Send, Finish and loop() may be used from any
// thread (they hand over), everything else on the loop.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "src/base/bytes.h"
#include "src/base/executor.h"
#include "src/server/metadata.h"
#include "src/server/outgoing_message.h"

namespace tidemark::server {

// Who is at the other end.
struct Peer {
  std::string address;  // "127.0.0.1:4711", "unix:/path"
  bool tls = false;
  std::string common_name;  // of the verified client certificate; empty without one
};

class ServerCall : public std::enable_shared_from_this<ServerCall> {
 public:
  virtual ~ServerCall() = default;

  virtual const std::string& method() const = 0;  // "/etcdserverpb.KV/Range"
  virtual const Metadata& metadata() const = 0;
  virtual const Peer& peer() const = 0;
  virtual absl::Duration deadline() const = 0;  // monotonic; InfiniteDuration without one
  virtual Executor& loop() = 0;

  // One protobuf message, not yet framed. Order is kept per sending thread. After Finish ignored.
  virtual void Send(OutgoingMessage&& message) = 0;
  // Ends the call. The status' code and message go to grpc-status and grpc-message.
  virtual void Finish(absl::Status status) = 0;
  // True once the client cancelled, the deadline passed, the connection broke or a shutdown ended
  // the call. Any thread.
  virtual std::shared_ptr<const std::atomic<bool>> cancelled() const = 0;
  // Bytes given to Send that the connection has not taken yet (loop only).
  virtual size_t unsent_bytes() const = 0;
  // One OnDrained comes when the connection has next taken bytes of this call (loop only).
  virtual void NotifyWhenTaken() = 0;
  // The handler's own limit, besides the client's deadline: one OnTimeLimit comes at `when`
  // (monotonic), in place of one asked for before; also after a Finish, until OnDone.
  // InfiniteDuration: none comes (loop only).
  virtual void SetTimeLimit(absl::Duration when) = 0;
};
using ServerCallPtr = std::shared_ptr<ServerCall>;

// Events of one call, on its loop. Destroyed after OnDone.
class CallHandler {
 public:
  virtual ~CallHandler() = default;
  // A whole request message (unary and server-streaming calls get exactly one); its bytes are there
  // until this returns.
  virtual void OnMessage(absl::string_view message) = 0;
  virtual void OnHalfClose() {}
  // unsent_bytes() fell below the transport's low-water mark after having been above it, or what
  // NotifyWhenTaken asked for.
  virtual void OnDrained() {}
  // What SetTimeLimit asked for.
  virtual void OnTimeLimit() {}
  // Last event: finished, cancelled, or connection lost.
  virtual void OnDone() {}
};

enum class CallKind { kUnary, kServerStream, kBidiStream };

// Counts one method's calls, as etcd's grpc_server_* do. Called on event loops.
class CallObserver {
 public:
  virtual ~CallObserver() = default;
  virtual void OnStarted() = 0;
  virtual void OnMessageReceived() = 0;
  virtual void OnMessageSent() = 0;
  virtual void OnHandled(absl::StatusCode code, absl::Duration took) = 0;
};

struct Method {
  std::string path;
  CallKind kind = CallKind::kUnary;
  std::function<std::unique_ptr<CallHandler>(ServerCallPtr)> start;
  CallObserver* observer = nullptr;  // not owned; nullptr: nobody counts
  // Keeps the node alive, tells how it is, or frees memory: is taken longer than others when
  // memory is short.
  bool essential = false;
  // Ends when the client wants it to: a shutdown does not wait for it, but ends it first.
  bool lasting = false;
};

// Plain HTTP (1.1, or 2 without grpc content type): /health, /metrics, ...
struct HttpRequest {
  std::string method;
  std::string path;   // without query
  std::string query;  // behind '?', raw
  Metadata headers;
  std::string body;  // bounded by the transport
  Peer peer;
};
struct HttpResponse {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers;  // content-type and others
  std::string body;
};
// `respond` may be called from any thread, once.
using HttpHandler = std::function<void(HttpRequest, std::function<void(HttpResponse)> respond)>;

// Counts what goes over the sockets of gRPC's clients. Called on event loops.
class TrafficObserver {
 public:
  virtual ~TrafficObserver() = default;
  virtual void OnBytes(uint64_t received, uint64_t sent) = 0;
};

}  // namespace tidemark::server
