// gRPC over nghttp2 with nothing else: the least that a server of calls does for each of them.
//
// Hides sockets, HTTP/2 and framing. One thread, one epoll loop: a turn reads every socket that has
// something, hands the messages over, and writes once for each connection with something to send.
// No TLS, no deadlines, no limits: for measurements and tests only. Bound to the thread of Run.
#pragma once

#include <nghttp2/nghttp2.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "bench/tidebench/wire/framing.h"

namespace tidemark::bench {

class BareConnection;

// A call as the server sees it. What is said to one that is over goes nowhere.
class BareCall {
 public:
  using Bytes = std::shared_ptr<const std::string>;

  absl::string_view path() const { return path_; }
  void Send(Bytes framed);  // pieces of framed messages, in order
  void End(int grpc_status = 0, std::string text = "");
  bool is_over() const { return connection_ == nullptr; }

 private:
  friend class BareConnection;
  friend struct BareSessionCallbacks;
  void Resume();

  BareConnection* connection_ = nullptr;
  int32_t stream_id_ = 0;
  std::string path_;
  FrameReader reader_;
  std::deque<Bytes> out_;
  size_t out_sent_ = 0;  // of the first piece
  size_t out_bytes_ = 0;
  bool has_begun_ = false;
  bool has_ended_ = false;
  bool is_deferred_ = false;
  std::string status_;
  std::string status_text_;
};
using BareCallPtr = std::shared_ptr<BareCall>;

class BareService {
 public:
  virtual ~BareService() = default;
  virtual void OnMessage(const BareCallPtr& call, absl::string_view message) = 0;
  virtual void OnInputEnd(const BareCallPtr& call) {}
  virtual void OnOver(const BareCallPtr& call) {}
  // After all that was read, before anything is written.
  virtual void OnTurnEnd() {}
};

class BareTransport {
 public:
  // Listens on 127.0.0.1; port 0 chooses one.
  BareTransport(uint16_t port, BareService* service);
  ~BareTransport();

  uint16_t port() const { return port_; }
  void Run();   // until Stop
  void Stop();  // from any thread

 private:
  friend class BareConnection;
  void Accept();

  BareService* const service_;
  int epoll_fd_;
  int listen_fd_;
  int stop_fd_;
  uint16_t port_ = 0;
  std::atomic<bool> is_stopped_{false};
  absl::flat_hash_map<int, std::unique_ptr<BareConnection>> connections_;
};

}  // namespace tidemark::bench
