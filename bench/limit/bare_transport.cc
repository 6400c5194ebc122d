#include "bench/limit/bare_transport.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "bench/limit/bare_connection.h"
#include "src/base/check.h"

namespace tidemark::bench {
namespace {

void Watch(int epoll_fd, int operation, int fd, uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  CHECK(epoll_ctl(epoll_fd, operation, fd, &event) == 0);
}

}  // namespace

BareTransport::BareTransport(uint16_t port, BareService* service)
    : service_(service),
      epoll_fd_(epoll_create1(EPOLL_CLOEXEC)),
      listen_fd_(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)),
      stop_fd_(eventfd(0, EFD_CLOEXEC)) {
  const int one = 1;
  setsockopt(listen_fd_, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  if (bind(listen_fd_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      listen(listen_fd_, SOMAXCONN) != 0) {
    Fatal("cannot listen");
  }
  CHECK(getsockname(listen_fd_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  port_ = ntohs(address.sin_port);
  Watch(epoll_fd_, EPOLL_CTL_ADD, listen_fd_, EPOLLIN);
  Watch(epoll_fd_, EPOLL_CTL_ADD, stop_fd_, EPOLLIN);
}

BareTransport::~BareTransport() {
  connections_.clear();
  close(stop_fd_);
  close(listen_fd_);
  close(epoll_fd_);
}

void BareTransport::Stop() {
  is_stopped_ = true;
  eventfd_write(stop_fd_, 1);
}

void BareTransport::Accept() {
  for (;;) {
    const int fd = accept4(listen_fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    const int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    Watch(epoll_fd_, EPOLL_CTL_ADD, fd, EPOLLIN);
    connections_.emplace(fd, std::make_unique<BareConnection>(fd, service_));
  }
}

void BareTransport::Run() {
  std::array<epoll_event, 256> events;
  while (!is_stopped_) {
    const int ready = epoll_wait(epoll_fd_, events.data(), events.size(), -1);
    CHECK(ready >= 0 || errno == EINTR);
    for (int i = 0; i < ready; ++i) {
      if (events[i].data.fd == listen_fd_) {
        Accept();
      } else if (const auto found = connections_.find(events[i].data.fd);
                 found != connections_.end() && (events[i].events & ~EPOLLOUT) != 0 &&
                 !found->second->OnReadable()) {
        connections_.erase(found);
      }
    }
    service_->OnTurnEnd();
    std::vector<int> over;
    for (auto& [fd, connection] : connections_) {
      const bool waited = connection->has_unsent();
      if (!connection->is_dirty() && !waited) continue;
      if (!connection->Flush()) {
        over.push_back(fd);
      } else if (connection->has_unsent() != waited) {
        Watch(epoll_fd_, EPOLL_CTL_MOD, fd, waited ? EPOLLIN : EPOLLIN | EPOLLOUT);
      }
    }
    for (const int fd : over) connections_.erase(fd);
  }
}

}  // namespace tidemark::bench
