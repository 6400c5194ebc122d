#include "bench/tidebench/wire/socket.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace tidemark::bench {
namespace {

absl::Status TlsError(absl::string_view what) {
  char text[256] = "no detail";
  if (const unsigned long code = ERR_get_error()) ERR_error_string_n(code, text, sizeof(text));
  ERR_clear_error();
  return absl::UnavailableError(absl::StrCat(what, ": ", text));
}

absl::Status ConnectionOver(absl::string_view why) {
  return absl::UnavailableError(absl::StrCat("the connection ended: ", why));
}

absl::StatusOr<int> ConnectTcp(const Endpoint& endpoint) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(endpoint.host.c_str(), endpoint.port.c_str(), &hints, &found)) {
    return absl::UnavailableError(absl::StrCat(endpoint.host, ": ", gai_strerror(error)));
  }
  int fd = -1;
  int error = 0;
  for (addrinfo* at = found; at != nullptr && fd < 0; at = at->ai_next) {
    fd = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol);
    if (fd >= 0 && connect(fd, at->ai_addr, at->ai_addrlen) != 0) {
      error = errno;
      close(std::exchange(fd, -1));
    }
  }
  freeaddrinfo(found);
  if (fd < 0) {
    return absl::UnavailableError(
        absl::StrCat("connect to ", endpoint.authority(), ": ", std::strerror(error)));
  }
  const int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
  return fd;
}

}  // namespace

absl::StatusOr<Endpoint> ParseEndpoint(absl::string_view text) {
  Endpoint endpoint;
  absl::string_view rest = text;
  if (absl::ConsumePrefix(&rest, "https://")) {
    endpoint.tls = true;
  } else {
    absl::ConsumePrefix(&rest, "http://");
  }
  absl::ConsumeSuffix(&rest, "/");
  const size_t colon = rest.rfind(':');
  if (colon == absl::string_view::npos || colon == 0 || colon + 1 == rest.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\" is no endpoint, as http://127.0.0.1:2379"));
  }
  absl::string_view host = rest.substr(0, colon);
  if (absl::ConsumePrefix(&host, "[")) absl::ConsumeSuffix(&host, "]");
  endpoint.host = std::string(host);
  endpoint.port = std::string(rest.substr(colon + 1));
  return endpoint;
}

absl::StatusOr<SslContext> MakeSslContext(const TlsFiles& files) {
  SslContext context(SSL_CTX_new(TLS_client_method()));
  if (context == nullptr) return TlsError("TLS");
  SSL_CTX* const raw = context.get();
  SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
  SSL_CTX_set_mode(raw, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  constexpr unsigned char kProtocols[] = {2, 'h', '2'};
  SSL_CTX_set_alpn_protos(raw, kProtocols, sizeof(kProtocols));
  if (!files.skip_verify) {
    SSL_CTX_set_verify(raw, SSL_VERIFY_PEER, nullptr);
    const bool trusted = files.ca_file.empty() ? SSL_CTX_set_default_verify_paths(raw) == 1
                                               : SSL_CTX_load_verify_locations(
                                                     raw, files.ca_file.c_str(), nullptr) == 1;
    if (!trusted) return TlsError(files.ca_file);
  }
  if (!files.cert_file.empty()) {
    if (SSL_CTX_use_certificate_chain_file(raw, files.cert_file.c_str()) != 1) {
      return TlsError(files.cert_file);
    }
    if (SSL_CTX_use_PrivateKey_file(raw, files.key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
      return TlsError(files.key_file);
    }
  }
  return context;
}

absl::StatusOr<Socket> Socket::Connect(const Endpoint& endpoint, SSL_CTX* tls) {
  absl::StatusOr<int> fd = ConnectTcp(endpoint);
  if (!fd.ok()) return fd.status();
  Socket socket(*fd);
  if (tls != nullptr) {
    absl::Status status = socket.StartTls(endpoint, tls);
    if (!status.ok()) return status;
  }
  if (fcntl(*fd, F_SETFL, fcntl(*fd, F_GETFL) | O_NONBLOCK) != 0) return ConnectionOver("fcntl");
  return socket;
}

absl::Status Socket::StartTls(const Endpoint& endpoint, SSL_CTX* tls) {
  ssl_ = SSL_new(tls);
  SSL_set_fd(ssl_, fd_);
  in6_addr ignored;
  const bool is_address = inet_pton(AF_INET, endpoint.host.c_str(), &ignored) == 1 ||
                          inet_pton(AF_INET6, endpoint.host.c_str(), &ignored) == 1;
  if (is_address) {
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_), endpoint.host.c_str());
  } else {
    SSL_set1_host(ssl_, endpoint.host.c_str());
    SSL_set_tlsext_host_name(ssl_, endpoint.host.c_str());
  }
  if (SSL_connect(ssl_) != 1) return TlsError("TLS handshake");
  const unsigned char* protocol = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(ssl_, &protocol, &size);
  if (size != 2 || std::memcmp(protocol, "h2", 2) != 0) {
    return absl::UnavailableError("the server does not offer HTTP/2");
  }
  return absl::OkStatus();
}

Socket::Socket(Socket&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), ssl_(std::exchange(other.ssl_, nullptr)) {}

Socket::~Socket() {
  if (ssl_ != nullptr) SSL_free(ssl_);
  if (fd_ >= 0) close(fd_);
}

absl::StatusOr<size_t> Socket::Read(char* to, size_t size) {
  if (ssl_ != nullptr) {
    const int n = SSL_read(ssl_, to, static_cast<int>(std::min<size_t>(size, 1 << 30)));
    if (n > 0) return static_cast<size_t>(n);
    const int error = SSL_get_error(ssl_, n);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return 0;
    return error == SSL_ERROR_ZERO_RETURN ? ConnectionOver("closed by the server")
                                          : TlsError("TLS read");
  }
  const ssize_t n = recv(fd_, to, size, 0);
  if (n > 0) return static_cast<size_t>(n);
  if (n == 0) return ConnectionOver("closed by the server");
  if (errno == EAGAIN || errno == EINTR) return 0;
  return ConnectionOver(std::strerror(errno));
}

absl::StatusOr<size_t> Socket::Write(absl::string_view bytes) {
  if (ssl_ != nullptr) {
    const int n =
        SSL_write(ssl_, bytes.data(), static_cast<int>(std::min<size_t>(bytes.size(), 1 << 30)));
    if (n > 0) return static_cast<size_t>(n);
    const int error = SSL_get_error(ssl_, n);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return 0;
    return TlsError("TLS write");
  }
  const ssize_t n = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (n >= 0) return static_cast<size_t>(n);
  if (errno == EAGAIN || errno == EINTR) return 0;
  return ConnectionOver(std::strerror(errno));
}

}  // namespace tidemark::bench
