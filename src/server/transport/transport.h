// The client port: listeners, event loops and everything between sockets and handlers.
//
//   Transport transport(clock, options);
//   transport.SetMethods(...); transport.SetHttpHandler(...);
//   auto id = transport.AddListener(spec);        // bound now; clients may connect and wait
//   transport.Start(); transport.Accept(*id);
//   transport.BeginShutdown(absl::Seconds(5)); transport.Join();
//
// Hides connections and threads. Set-up calls (all before Start, and AddListener) come from one
// thread; Accept, BeginShutdown and the counters are thread-safe.
//
// 1. Calls and HTTP answers may outlive their connection but must not outlive the Transport.
// 2. After Join every handler has had its OnDone.
#pragma once

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "src/base/clock.h"
#include "src/server/rpc.h"
#include "src/server/transport/context.h"
#include "src/server/transport/listener.h"
#include "src/server/transport/tls_context.h"
#include "src/server/transport/transport_options.h"

namespace tidemark::server {

class LoopConnections;

struct ListenerSpec {
  ListenAddress address;
  absl::optional<TlsOptions> tls;
  bool plaintext = true;  // with `tls`: plain text is served on the same port, too
  bool serves_grpc = true;
  bool serves_http = true;
};

class Transport {
 public:
  using ListenerId = size_t;

  Transport(const Clock& clock, TransportOptions options);
  ~Transport();

  void SetMethods(std::vector<Method> methods);
  void SetHttpHandler(HttpHandler handler);
  void SetTrafficObserver(TrafficObserver* observer);  // not owned
  void SetBudget(MemoryBudget* budget);                // the same; outlives the transport

  absl::StatusOr<ListenerId> AddListener(ListenerSpec spec);
  // The bound port, also when 0 was asked for; 0 for unix sockets.
  uint16_t port(ListenerId id) const;

  void Start();
  void Accept(ListenerId id);
  // Stops accepting, ends lasting calls, lets the others end for at most `grace`, then cuts them
  // off.
  void BeginShutdown(absl::Duration grace);
  // Waits until BeginShutdown's work is done and the loops have ended.
  void Join();

  size_t open_connections() const { return context_.open_connections.load(); }
  uint64_t accepted_connections() const { return context_.accepted_connections.load(); }
  // How often a connection with something long to send rested for others.
  uint64_t output_rests() const { return context_.output_rests.load(); }
  size_t loop_count() const { return loops_.size(); }
  Executor& loop(size_t index) { return *loops_[index]; }

 private:
  struct BoundListener {
    ListenerTraits traits;
    std::unique_ptr<Listener> listener;
    EventLoop* loop = nullptr;
  };

  // One loop has no connections left and will have none.
  void OnLoopEnded();
  void LogRefusal(absl::string_view peer_address, absl::string_view why);
  void RefuseConnection(int fd, absl::string_view peer_address, absl::string_view why);
  void Deal(const ListenerTraits& traits, int fd, std::string peer_address);

  const Clock& clock_;
  TransportContext context_;
  std::vector<std::unique_ptr<EventLoop>> loops_;
  std::vector<std::unique_ptr<LoopConnections>> connections_;  // one per loop
  std::vector<std::unique_ptr<BoundListener>> listeners_;
  std::atomic<size_t> next_loop_{0};
  std::atomic<size_t> loops_with_connections_{0};  // or that may still get some
  std::atomic<int64_t> refusal_logged_at_second_{-1};
  bool started_ = false;
};

}  // namespace tidemark::server
