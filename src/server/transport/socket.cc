#include "src/server/transport/socket.h"

#include <openssl/err.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "src/base/check.h"
#include "src/base/failpoint.h"

namespace tidemark::server {
namespace {

constexpr int kRunsPerWrite = 128;
constexpr size_t kTlsRecordBytes = 16 << 10;
// As many as Go takes.
constexpr int kMaxMessagesWithoutData = 16;

IoState StateOfErrno() {
  return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? IoState::kWouldBlock
                                                                   : IoState::kFailed;
}

}  // namespace

Socket::~Socket() {
  if (fd_ >= 0) close(fd_);
}

int Socket::Release() { return std::exchange(fd_, -1); }

IoResult Socket::Read(absl::Span<char> into) {
  const ssize_t n = recv(fd_, into.data(), into.size(), 0);
  if (n > 0) return {IoState::kDone, static_cast<size_t>(n)};
  if (n == 0) return {IoState::kClosed};
  return {StateOfErrno()};
}

IoResult Socket::Peek(absl::Span<char> into) {
  const ssize_t n = recv(fd_, into.data(), into.size(), MSG_PEEK);
  if (n > 0) return {IoState::kDone, static_cast<size_t>(n)};
  if (n == 0) return {IoState::kClosed};
  return {StateOfErrno()};
}

IoResult Socket::Write(OutputQueue& queue) {
  size_t total = 0;
  while (!queue.empty()) {
    iovec runs[kRunsPerWrite];
    msghdr message{};
    message.msg_iov = runs;
    message.msg_iovlen = queue.Peek(runs, kRunsPerWrite);
    size_t offered = 0;
    for (size_t i = 0; i < message.msg_iovlen; ++i) offered += runs[i].iov_len;
    const ssize_t n = sendmsg(fd_, &message, MSG_NOSIGNAL);
    if (n < 0) return {StateOfErrno(), total};
    queue.Drop(static_cast<size_t>(n));
    total += static_cast<size_t>(n);
    // A short write means a full buffer: asking again would only cost a system call.
    if (static_cast<size_t>(n) < offered) return {IoState::kWouldBlock, total};
  }
  return {IoState::kDone, total};
}

void Socket::CloseWrite() { shutdown(fd_, SHUT_WR); }

TlsSocket::TlsSocket(int fd, SSL_CTX* context) : Socket(fd), ssl_(SSL_new(context)) {
  CHECK(ssl_ != nullptr);
  SSL_set_fd(ssl_.get(), fd);
  SSL_set_accept_state(ssl_.get());
}

IoState TlsSocket::StateAfter(int result) {
  wants_write_ = false;
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_NONE:
      return IoState::kDone;
    case SSL_ERROR_WANT_READ:
      return IoState::kWouldBlock;
    case SSL_ERROR_WANT_WRITE:
      wants_write_ = true;
      return IoState::kWouldBlock;
    case SSL_ERROR_ZERO_RETURN:
      error_ = "EOF";
      return IoState::kClosed;
    default:
      break;
  }
  const unsigned long code = ERR_get_error();
  if (code == 0) {
    error_ = errno == 0 ? "EOF" : strerror(errno);
  } else {
    const char* reason = ERR_reason_error_string(code);
    error_ = reason == nullptr ? "tls error" : reason;
  }
  ERR_clear_error();
  return IoState::kFailed;
}

IoState TlsSocket::Handshake() {
  ERR_clear_error();
  errno = 0;
  const IoState state = StateAfter(SSL_do_handshake(ssl_.get()));
  if (state == IoState::kDone) {
    SSL_set_msg_callback(ssl_.get(), OnProtocolMessage);
    SSL_set_msg_callback_arg(ssl_.get(), this);
  }
  return state;
}

void TlsSocket::OnProtocolMessage(int is_sent, int, int content_type, const void*, size_t, SSL*,
                                  void* socket) {
  if (is_sent != 0 || content_type != SSL3_RT_HANDSHAKE) return;
  ++static_cast<TlsSocket*>(socket)->messages_without_data_;
}

std::string TlsSocket::Protocol() const {
  const unsigned char* name = nullptr;
  unsigned length = 0;
  SSL_get0_alpn_selected(ssl_.get(), &name, &length);
  return std::string(reinterpret_cast<const char*>(name), length);
}

bool TlsSocket::HasTooManyWithoutData() const {
  return messages_without_data_ > kMaxMessagesWithoutData &&
         !PLANTED_BUG("transport_key_updates_without_bound");
}

IoResult TlsSocket::Read(absl::Span<char> into) {
  ERR_clear_error();
  size_t total = 0;
  while (total < into.size()) {
    const int n = SSL_read(ssl_.get(), into.data() + total, static_cast<int>(into.size() - total));
    if (n <= 0) {
      const IoState state = StateAfter(n);
      if (total == 0 && HasTooManyWithoutData()) break;
      return {total > 0 ? IoState::kDone : state, total};
    }
    messages_without_data_ = 0;
    total += static_cast<size_t>(n);
  }
  if (total > 0) return {IoState::kDone, total};
  error_ = "too many ignored records";
  return {IoState::kFailed};
}

IoResult TlsSocket::Write(OutputQueue& queue) {
  ERR_clear_error();
  size_t total = 0;
  char record[kTlsRecordBytes];
  while (!queue.empty()) {
    // A retry offers the same first bytes again, perhaps more of them, as SSL_write demands.
    const size_t n = queue.CopyFront(record, sizeof(record));
    const int written = SSL_write(ssl_.get(), record, static_cast<int>(n));
    if (written <= 0) return {StateAfter(written), total};
    queue.Drop(static_cast<size_t>(written));
    total += static_cast<size_t>(written);
  }
  return {IoState::kDone, total};
}

// Not SSL_has_pending, which also speaks of a record that has not come whole yet.
bool TlsSocket::HasBufferedInput() const { return SSL_pending(ssl_.get()) > 0; }

void TlsSocket::CloseWrite() {
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
  Socket::CloseWrite();
}

}  // namespace tidemark::server
