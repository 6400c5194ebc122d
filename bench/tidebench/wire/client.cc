#include "bench/tidebench/wire/client.h"

#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "src/base/check.h"

namespace tidemark::bench {

int64_t MonotonicNs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

absl::StatusOr<std::unique_ptr<Client>> Client::Create(ClientOptions options) {
  SslContext tls;
  if (options.endpoint.tls) {
    absl::StatusOr<SslContext> made = MakeSslContext(options.tls);
    if (!made.ok()) return made.status();
    tls = *std::move(made);
  }
  return std::unique_ptr<Client>(new Client(std::move(options), std::move(tls)));
}

Client::Client(ClientOptions options, SslContext tls)
    : options_(std::move(options)), tls_(std::move(tls)), epoll_fd_(epoll_create1(EPOLL_CLOEXEC)) {
  CHECK(epoll_fd_ >= 0);
}

Client::~Client() {
  connections_.clear();
  close(epoll_fd_);
}

absl::Status Client::Connect(int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    absl::StatusOr<Socket> socket = Socket::Connect(options_.endpoint, tls_.get());
    if (!socket.ok()) return socket.status();
    connections_.push_back(
        std::make_unique<Connection>(*std::move(socket), options_.endpoint, options_.connection));
    waits_for_room_.push_back(false);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = static_cast<uint64_t>(size() - 1);
    CHECK(epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, connections_.back()->fd(), &event) == 0);
  }
  return absl::OkStatus();
}

void Client::Watch(int64_t index, bool for_room) {
  if (waits_for_room_[index] == for_room) return;
  waits_for_room_[index] = for_room;
  epoll_event event{};
  event.events = for_room ? EPOLLIN | EPOLLOUT : EPOLLIN;
  event.data.u64 = static_cast<uint64_t>(index);
  CHECK(epoll_ctl(epoll_fd_, EPOLL_CTL_MOD, connections_[index]->fd(), &event) == 0);
}

absl::Status Client::Turn(int64_t wake_ns, absl::FunctionRef<void()> before_write) {
  ++turns_;
  const int64_t wait_ns = std::max<int64_t>(0, wake_ns - MonotonicNs());
  const timespec timeout = {.tv_sec = wait_ns / 1'000'000'000, .tv_nsec = wait_ns % 1'000'000'000};
  std::array<epoll_event, 256> events;
  const int ready = epoll_pwait2(epoll_fd_, events.data(), events.size(), &timeout, nullptr);
  CHECK(ready >= 0 || errno == EINTR);
  for (int i = 0; i < ready; ++i) {
    const auto index = static_cast<int64_t>(events[i].data.u64);
    if ((events[i].events & ~EPOLLOUT) != 0) connections_[index]->OnReadable();
  }
  before_write();
  for (int64_t i = 0; i < size(); ++i) {
    Connection& connection = *connections_[i];
    if (connection.is_dirty() || waits_for_room_[i]) Watch(i, connection.Flush());
    if (!connection.failure().ok()) return connection.failure();
  }
  return absl::OkStatus();
}

}  // namespace tidemark::bench
