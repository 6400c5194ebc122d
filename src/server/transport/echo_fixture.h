// A running transport with the echo service and a small HTTP handler, for tests.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "src/base/posix_clock.h"
#include "src/server/transport/echo_service.h"
#include "src/server/transport/transport.h"

namespace tidemark::server {

class EchoServer {
 public:
  explicit EchoServer(TransportOptions options = {}, ListenerSpec spec = LocalSpec(),
                      MemoryBudget* budget = nullptr);
  ~EchoServer();

  static ListenerSpec LocalSpec();
  uint16_t port() const { return transport_->port(0); }
  std::string address() const;
  Transport& transport() { return *transport_; }
  absl::Duration Now() const { return clock_.Monotonic(); }
  EchoCounters& counters() { return *counters_; }
  // Ends it before the fixture's end.
  void Stop(absl::Duration grace);

 private:
  PosixClock clock_;
  std::shared_ptr<EchoCounters> counters_ = std::make_shared<EchoCounters>();
  std::unique_ptr<Transport> transport_;
};

// Waits for a condition that another thread makes true; false after 20 seconds.
bool Eventually(const std::function<bool()>& condition);

}  // namespace tidemark::server
