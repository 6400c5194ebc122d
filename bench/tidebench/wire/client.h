// Connections to one endpoint and the loop that serves them all.
//
// Hides epoll. A turn reads every socket that has something, which makes calls end and start, and
// then writes once for each connection that has something to send. Bound to one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bench/tidebench/wire/connection.h"
#include "bench/tidebench/wire/socket.h"

namespace tidemark::bench {

struct ClientOptions {
  Endpoint endpoint;
  TlsFiles tls;
  ConnectionOptions connection;
};

class Client {
 public:
  static absl::StatusOr<std::unique_ptr<Client>> Create(ClientOptions options);
  ~Client();

  // More connections, numbered on from those that are there.
  absl::Status Connect(int64_t count);
  int64_t size() const { return static_cast<int64_t>(connections_.size()); }
  Connection& connection(int64_t index) { return *connections_[index]; }

  // Waits for input, at most until `wake_ns` of MonotonicNs; then handles it, calls `before_write`
  // and writes. The first connection that is over ends the run: its error.
  absl::Status Turn(int64_t wake_ns, absl::FunctionRef<void()> before_write);

  int64_t turns() const { return turns_; }

 private:
  Client(ClientOptions options, SslContext tls);
  void Watch(int64_t index, bool for_room);

  const ClientOptions options_;
  const SslContext tls_;  // null for a plain endpoint
  int epoll_fd_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<bool> waits_for_room_;
  int64_t turns_ = 0;
};

int64_t MonotonicNs();

}  // namespace tidemark::bench
