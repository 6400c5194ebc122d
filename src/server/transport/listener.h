// A listening socket: TCP or unix, accepting and handing connections out.
//
// Hides addresses, stale socket files and the shortage of descriptors. Bind is called before the
// loop runs; afterwards bound to its loop.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "src/server/transport/event_loop.h"

namespace tidemark::server {

struct ListenAddress {
  std::string host;       // name or literal; empty: every interface
  uint16_t port = 0;      // 0: any free one
  std::string unix_path;  // when not empty, instead of host and port

  bool reuse_port = false;  // SO_REUSEPORT: several processes may listen
};

class Listener final : public FdHandler {
 public:
  // Takes the accepted descriptor.
  using Accepted = std::function<void(int fd, std::string peer_address)>;

  static absl::StatusOr<std::unique_ptr<Listener>> Bind(const ListenAddress& address);
  ~Listener() override;

  uint16_t port() const { return port_; }
  // "127.0.0.1:2379" or "unix:/path", for logs.
  const std::string& name() const { return name_; }

  // On `loop`, from now on.
  void Start(EventLoop& loop, Accepted accepted);
  // Stops accepting and closes.
  void Close();

  void OnReady(uint32_t epoll_events) override;

 private:
  Listener(int fd, std::string name, std::string unix_path, uint16_t port);
  void PauseForDescriptors();

  int fd_;
  const std::string name_;
  const std::string unix_path_;
  const uint16_t port_;
  EventLoop* loop_ = nullptr;
  Accepted accepted_;
  TimerId resume_timer_ = 0;
};

}  // namespace tidemark::server
