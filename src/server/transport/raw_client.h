// A socket and hand-made HTTP/2 frames, for saying what no library would say.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"

namespace tidemark::server {

class RawClient {
 public:
  explicit RawClient(uint16_t port);
  ~RawClient();

  // False once the server has closed.
  bool Send(absl::string_view bytes);
  void CloseWrite();
  // Everything until the server closes; stops after 10 seconds without input.
  std::string ReadAll();
  // Until `text` was read; what was read so far otherwise.
  std::string ReadUntil(absl::string_view text);
  int fd() const { return fd_; }

 private:
  bool ReadMore();

  int fd_;
  std::string unread_;
  friend class RawHttp2;
};

struct RawFrame {
  uint8_t type = 0;
  uint8_t flags = 0;
  uint32_t stream_id = 0;
  std::string payload;
};

using RawHeaders = std::vector<std::pair<std::string, std::string>>;

// Frames, as bytes.
std::string FrameBytes(uint8_t type, uint8_t flags, uint32_t stream_id, absl::string_view payload);
std::string HeadersPayload(const RawHeaders& headers);
RawHeaders GrpcRequestHeaders(absl::string_view path);
std::string GrpcMessageBytes(absl::string_view message);
extern const absl::string_view kRawPreface;

class RawHttp2 {
 public:
  // Sends preface and empty SETTINGS.
  explicit RawHttp2(uint16_t port);

  bool SendFrame(uint8_t type, uint8_t flags, uint32_t stream_id, absl::string_view payload = "");
  bool SendRequest(uint32_t stream_id, absl::string_view path, absl::string_view message);
  // nullopt at the connection's end or after 10 seconds.
  absl::optional<RawFrame> Next();
  // Skips others.
  absl::optional<RawFrame> NextOfType(uint8_t type);
  RawClient& client() { return client_; }

 private:
  RawClient client_;
};

}  // namespace tidemark::server
