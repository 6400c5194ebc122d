#include "src/server/transport/listener.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "src/base/log.h"
#include "src/server/transport/listen_order.h"

namespace tidemark::server {
namespace {

constexpr int kBacklog = 4096;
constexpr int kAcceptsPerTurn = 64;
constexpr absl::Duration kDescriptorPause = absl::Milliseconds(200);

absl::Status ErrnoStatus(absl::string_view name, absl::string_view what) {
  return absl::UnavailableError(absl::StrCat("listen ", name, ": ", what, ": ", strerror(errno)));
}

class FdCloser {
 public:
  explicit FdCloser(int fd) : fd_(fd) {}
  ~FdCloser() {
    if (fd_ >= 0) close(fd_);
  }
  FdCloser(const FdCloser&) = delete;
  FdCloser& operator=(const FdCloser&) = delete;
  int get() const { return fd_; }
  int Release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

std::string HostPort(absl::string_view host, uint16_t port) {
  return absl::StrContains(host, ':') ? absl::StrCat("[", host, "]:", port)
                                      : absl::StrCat(host, ":", port);
}

std::string AddressText(const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    inet_ntop(AF_INET, &v4.sin_addr, text, sizeof(text));
    return HostPort(text, ntohs(v4.sin_port));
  }
  if (address.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
      inet_ntop(AF_INET, v6.sin6_addr.s6_addr + 12, text, sizeof(text));
    } else {
      inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof(text));
    }
    return HostPort(text, ntohs(v6.sin6_port));
  }
  return "unix:@";
}

void SetFlag(int fd, int level, int option, int value = 1) {
  setsockopt(fd, level, option, &value, sizeof(value));
}

// A peer that is gone without a word is noticed as soon as etcd's listeners do: in minutes, where
// the kernel by itself would take hours.
void SetUpTcp(int fd) {
  constexpr int kKeepaliveSeconds = 30;
  SetFlag(fd, IPPROTO_TCP, TCP_NODELAY);
  SetFlag(fd, SOL_SOCKET, SO_KEEPALIVE);
  SetFlag(fd, IPPROTO_TCP, TCP_KEEPIDLE, kKeepaliveSeconds);
  SetFlag(fd, IPPROTO_TCP, TCP_KEEPINTVL, kKeepaliveSeconds);
}

absl::StatusOr<int> BindTcp(const ListenAddress& address, const std::string& name) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const std::string port = absl::StrCat(address.port);
  const bool every_interface = IsEveryInterface(address.host);
  const int error =
      getaddrinfo(every_interface ? nullptr : address.host.c_str(), port.c_str(), &hints, &found);
  if (error != 0) {
    return absl::UnavailableError(absl::StrCat("listen ", name, ": ", gai_strerror(error)));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, freeaddrinfo);
  absl::Status failed;
  for (const addrinfo* chosen : ListenOrder(found, every_interface)) {
    FdCloser fd(socket(chosen->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (fd.get() < 0) {
      failed = ErrnoStatus(name, "socket");
      continue;  // this machine lacks the family
    }
    SetFlag(fd.get(), SOL_SOCKET, SO_REUSEADDR);
    if (address.reuse_port) SetFlag(fd.get(), SOL_SOCKET, SO_REUSEPORT);
    if (every_interface && chosen->ai_family == AF_INET6) {
      SetFlag(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 0);
    }
    if (bind(fd.get(), chosen->ai_addr, chosen->ai_addrlen) == 0) return fd.Release();
    const bool is_switched_off = errno == EADDRNOTAVAIL;
    failed = ErrnoStatus(name, "bind");
    if (!is_switched_off) break;
  }
  return failed;
}

absl::StatusOr<int> BindUnix(const std::string& path, const std::string& name) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(absl::StrCat("listen ", name, ": path too long"));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  const auto* raw = reinterpret_cast<const sockaddr*>(&address);
  FdCloser fd(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (fd.get() < 0) return ErrnoStatus(name, "socket");
  struct stat info {};
  if (lstat(path.c_str(), &info) == 0) {
    if (!S_ISSOCK(info.st_mode)) {
      return absl::UnavailableError(absl::StrCat("listen ", name, ": exists and is no socket"));
    }
    // A socket nobody listens on is what a killed process left behind.
    const FdCloser probe(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (connect(probe.get(), raw, sizeof(address)) == 0 || errno != ECONNREFUSED) {
      return absl::UnavailableError(absl::StrCat("listen ", name, ": bind: address in use"));
    }
    unlink(path.c_str());
  }
  if (bind(fd.get(), raw, sizeof(address)) != 0) return ErrnoStatus(name, "bind");
  return fd.Release();
}

uint16_t BoundPort(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  if (address.ss_family == AF_INET6) {
    return ntohs(reinterpret_cast<sockaddr_in6&>(address).sin6_port);
  }
  if (address.ss_family == AF_INET) return ntohs(reinterpret_cast<sockaddr_in&>(address).sin_port);
  return 0;
}

}  // namespace

Listener::Listener(int fd, std::string name, std::string unix_path, uint16_t port)
    : fd_(fd), name_(std::move(name)), unix_path_(std::move(unix_path)), port_(port) {}

Listener::~Listener() { Close(); }

absl::StatusOr<std::unique_ptr<Listener>> Listener::Bind(const ListenAddress& address) {
  const bool is_unix = !address.unix_path.empty();
  std::string name =
      is_unix ? absl::StrCat("unix:", address.unix_path) : HostPort(address.host, address.port);
  absl::StatusOr<int> bound = is_unix ? BindUnix(address.unix_path, name) : BindTcp(address, name);
  if (!bound.ok()) return bound.status();
  FdCloser fd(*bound);
  if (listen(fd.get(), kBacklog) != 0) return ErrnoStatus(name, "listen");
  const uint16_t port = is_unix ? 0 : BoundPort(fd.get());
  if (!is_unix) name = HostPort(address.host, port);
  return std::unique_ptr<Listener>(
      new Listener(fd.Release(), std::move(name), address.unix_path, port));
}

void Listener::Start(EventLoop& loop, Accepted accepted) {
  CHECK(loop_ == nullptr && fd_ >= 0);
  loop_ = &loop;
  accepted_ = std::move(accepted);
  loop.Watch(fd_, EPOLLIN, this);
}

void Listener::Close() {
  if (fd_ < 0) return;
  if (loop_ != nullptr) {
    loop_->Cancel(resume_timer_);
    loop_->Unwatch(fd_);
  }
  close(std::exchange(fd_, -1));
  if (!unix_path_.empty()) unlink(unix_path_.c_str());
}

void Listener::OnReady(uint32_t) {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    sockaddr_storage address{};
    socklen_t size = sizeof(address);
    const int fd =
        accept4(fd_, reinterpret_cast<sockaddr*>(&address), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      if (unix_path_.empty()) SetUpTcp(fd);
      accepted_(fd, unix_path_.empty() ? AddressText(address) : name_);
      continue;
    }
    switch (errno) {
      case EINTR:
      case ECONNABORTED:
        continue;
      case EMFILE:
      case ENFILE:
      case ENOBUFS:
      case ENOMEM:
        return PauseForDescriptors();
      default:
        return;
    }
  }
}

// The connection stays in the backlog, so epoll would report it without end.
void Listener::PauseForDescriptors() {
  TLOG(kWarn, "cannot accept connections; waiting for resources",
       {{"address", name_}, {"error", strerror(errno)}});
  loop_->Change(fd_, 0);
  resume_timer_ = loop_->PostAt(loop_->now() + kDescriptorPause, [this] {
    resume_timer_ = 0;
    loop_->Change(fd_, EPOLLIN);
  });
}

}  // namespace tidemark::server
