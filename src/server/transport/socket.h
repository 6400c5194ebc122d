// A connected, non-blocking socket, plain or under TLS, that reads bytes and writes queues.
//
// Hides would-block, TLS records and retries. Bound to its connection's loop.
//
// Input that carries no data (key updates) never keeps a Read for itself, and is bounded.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "absl/types/span.h"
#include "src/server/output_queue.h"

namespace tidemark::server {

enum class IoState {
  kDone,        // some bytes were moved
  kWouldBlock,  // try again when the descriptor is ready
  kClosed,      // the other side ended in order
  kFailed,
};

struct IoResult {
  IoState state;
  size_t byte_count = 0;
};

class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {}  // takes the descriptor
  virtual ~Socket();
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  int fd() const { return fd_; }
  virtual IoResult Read(absl::Span<char> into);
  // Writes as much as the kernel takes and drops it from the queue.
  virtual IoResult Write(OutputQueue& queue);
  // Bytes that Read would give without the descriptor being ready.
  virtual bool HasBufferedInput() const { return false; }
  // Tells the other side that nothing more comes.
  virtual void CloseWrite();
  // Looks at the first bytes and leaves them there; for telling TLS from plain text.
  IoResult Peek(absl::Span<char> into);
  // Gives up the descriptor.
  int Release();

 private:
  int fd_;
};

class TlsSocket final : public Socket {
 public:
  TlsSocket(int fd, SSL_CTX* context);

  // kDone once the handshake is complete; kFailed leaves the reason in error().
  IoState Handshake();
  bool wants_write() const { return wants_write_; }
  const std::string& error() const { return error_; }
  SSL* ssl() { return ssl_.get(); }
  // The protocol agreed by ALPN; empty without one.
  std::string Protocol() const;

  IoResult Read(absl::Span<char> into) override;
  IoResult Write(OutputQueue& queue) override;
  bool HasBufferedInput() const override;
  void CloseWrite() override;

 private:
  // Seen by OpenSSL: every message of the protocol, in both directions.
  static void OnProtocolMessage(int is_sent, int version, int content_type, const void* bytes,
                                size_t size, SSL* ssl, void* socket);
  bool HasTooManyWithoutData() const;
  IoState StateAfter(int result);

  struct SslDelete {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };
  std::unique_ptr<SSL, SslDelete> ssl_;
  std::string error_;
  bool wants_write_ = false;
  int messages_without_data_ = 0;  // in a row, since the handshake
};

}  // namespace tidemark::server
