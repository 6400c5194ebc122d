#include "src/server/transport/raw_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "src/base/check.h"

namespace tidemark::server {
namespace {

void AppendHpackInteger(std::string& out, size_t value) {
  if (value < 127) {
    out.push_back(static_cast<char>(value));
    return;
  }
  out.push_back(127);
  for (value -= 127; value >= 128; value /= 128)
    out.push_back(static_cast<char>(value % 128 + 128));
  out.push_back(static_cast<char>(value));
}

void AppendBigEndian(std::string& out, uint32_t value, int byte_count) {
  for (int i = byte_count - 1; i >= 0; --i) out.push_back(static_cast<char>(value >> (8 * i)));
}

uint32_t BigEndian(absl::string_view bytes) {
  uint32_t value = 0;
  for (const char c : bytes) value = value << 8 | static_cast<unsigned char>(c);
  return value;
}

}  // namespace

const absl::string_view kRawPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

RawClient::RawClient(uint16_t port) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK(connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
  const timeval timeout{10, 0};
  setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
  setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
}

RawClient::~RawClient() { close(fd_); }

bool RawClient::Send(absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

void RawClient::CloseWrite() { shutdown(fd_, SHUT_WR); }

bool RawClient::ReadMore() {
  char buffer[16384];
  const ssize_t n = recv(fd_, buffer, sizeof(buffer), 0);
  if (n <= 0) return false;
  unread_.append(buffer, static_cast<size_t>(n));
  return true;
}

std::string RawClient::ReadAll() {
  while (ReadMore()) {
  }
  return std::exchange(unread_, std::string());
}

std::string RawClient::ReadUntil(absl::string_view text) {
  size_t at = unread_.find(text.data(), 0, text.size());
  while (at == std::string::npos && ReadMore()) at = unread_.find(text.data(), 0, text.size());
  const size_t end = at == std::string::npos ? unread_.size() : at + text.size();
  std::string read = unread_.substr(0, end);
  unread_.erase(0, end);
  return read;
}

std::string FrameBytes(uint8_t type, uint8_t flags, uint32_t stream_id, absl::string_view payload) {
  std::string out;
  AppendBigEndian(out, static_cast<uint32_t>(payload.size()), 3);
  out.push_back(static_cast<char>(type));
  out.push_back(static_cast<char>(flags));
  AppendBigEndian(out, stream_id, 4);
  out.append(payload.data(), payload.size());
  return out;
}

std::string HeadersPayload(const RawHeaders& headers) {
  std::string out;
  for (const auto& [name, value] : headers) {
    out.push_back(0);  // literal without indexing, new name
    AppendHpackInteger(out, name.size());
    out += name;
    AppendHpackInteger(out, value.size());
    out += value;
  }
  return out;
}

RawHeaders GrpcRequestHeaders(absl::string_view path) {
  return {{":method", "POST"},
          {":scheme", "http"},
          {":path", std::string(path)},
          {":authority", "test"},
          {"content-type", "application/grpc"},
          {"te", "trailers"}};
}

std::string GrpcMessageBytes(absl::string_view message) {
  std::string out(1, '\0');
  AppendBigEndian(out, static_cast<uint32_t>(message.size()), 4);
  out.append(message.data(), message.size());
  return out;
}

RawHttp2::RawHttp2(uint16_t port) : client_(port) {
  client_.Send(kRawPreface);
  SendFrame(4, 0, 0);
}

bool RawHttp2::SendFrame(uint8_t type, uint8_t flags, uint32_t stream_id,
                         absl::string_view payload) {
  return client_.Send(FrameBytes(type, flags, stream_id, payload));
}

bool RawHttp2::SendRequest(uint32_t stream_id, absl::string_view path, absl::string_view message) {
  return client_.Send(FrameBytes(1, 4, stream_id, HeadersPayload(GrpcRequestHeaders(path))) +
                      FrameBytes(0, 1, stream_id, GrpcMessageBytes(message)));
}

absl::optional<RawFrame> RawHttp2::Next() {
  std::string& in = client_.unread_;
  while (in.size() < 9) {
    if (!client_.ReadMore()) return absl::nullopt;
  }
  const size_t size = BigEndian(absl::string_view(in).substr(0, 3));
  while (in.size() < 9 + size) {
    if (!client_.ReadMore()) return absl::nullopt;
  }
  RawFrame frame;
  frame.type = static_cast<uint8_t>(in[3]);
  frame.flags = static_cast<uint8_t>(in[4]);
  frame.stream_id = BigEndian(absl::string_view(in).substr(5, 4));
  frame.payload = in.substr(9, size);
  in.erase(0, 9 + size);
  return frame;
}

absl::optional<RawFrame> RawHttp2::NextOfType(uint8_t type) {
  while (true) {
    absl::optional<RawFrame> frame = Next();
    if (!frame.has_value() || frame->type == type) return frame;
  }
}

}  // namespace tidemark::server
