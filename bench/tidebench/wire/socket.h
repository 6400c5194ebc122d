// One TCP connection to a server, plain or TLS, that never blocks once it is there.
//
// Hides OpenSSL and the socket. Bound to one thread.
#pragma once

#include <openssl/ssl.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace tidemark::bench {

// "http://host:port", "https://host:port" or "host:port".
struct Endpoint {
  std::string host;
  std::string port;
  bool tls = false;

  std::string authority() const { return host + ":" + port; }
};
absl::StatusOr<Endpoint> ParseEndpoint(absl::string_view text);

struct TlsFiles {
  std::string ca_file;    // empty: the system's
  std::string cert_file;  // of the client, with key_file; may be empty
  std::string key_file;
  bool skip_verify = false;
};

struct FreeSslContext {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using SslContext = std::unique_ptr<SSL_CTX, FreeSslContext>;
absl::StatusOr<SslContext> MakeSslContext(const TlsFiles& files);

class Socket {
 public:
  // Waits for the connection and the handshake. `tls` is null for a plain one.
  static absl::StatusOr<Socket> Connect(const Endpoint& endpoint, SSL_CTX* tls);
  Socket(Socket&& other) noexcept;
  Socket& operator=(Socket&&) = delete;
  ~Socket();

  int fd() const { return fd_; }
  // How many bytes; 0 when none can be had (or taken) now. An error when the connection is over.
  absl::StatusOr<size_t> Read(char* to, size_t size);
  absl::StatusOr<size_t> Write(absl::string_view bytes);

 private:
  explicit Socket(int fd) : fd_(fd) {}
  absl::Status StartTls(const Endpoint& endpoint, SSL_CTX* tls);

  int fd_ = -1;
  SSL* ssl_ = nullptr;
};

}  // namespace tidemark::bench
