// gRPC's bytes over HTTP/2: time-outs, status texts, binary metadata, message framing.
//
// Pure functions and one small parser; input is hostile.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "src/base/bytes.h"

namespace tidemark::server {

// "grpc-timeout": up to 8 digits and a unit. nullopt when malformed.
absl::optional<absl::Duration> ParseGrpcTimeout(absl::string_view text);

// "grpc-message": percent-encoding of everything outside printable ASCII, and of '%'.
std::string PercentEncode(absl::string_view text);

// A "-bin" value: base64, padded or not. nullopt when malformed.
absl::optional<std::string> DecodeBinaryMetadata(absl::string_view value);

// True for "application/grpc", "application/grpc+proto", "application/grpc;..."
bool IsGrpcContentType(absl::string_view content_type);

constexpr size_t kGrpcPrefixBytes = 5;
std::array<char, kGrpcPrefixBytes> GrpcPrefix(uint32_t message_bytes);

// Cuts a stream of bytes into messages.
class GrpcMessageReader {
 public:
  explicit GrpcMessageReader(size_t max_message_bytes) : max_message_bytes_(max_message_bytes) {}

  // Takes bytes from the front of `bytes` and calls `on_message` for each message completed, which
  // is there until that returns. Stops when it returns false or on an error; what was not taken
  // stays in `bytes`.
  absl::Status Add(absl::string_view& bytes, absl::FunctionRef<bool(absl::string_view)> on_message);

  // Bytes held of an incomplete message.
  size_t held_bytes() const { return body_.size() + prefix_size_; }
  void Clear();

 private:
  absl::Status CheckPrefix(const char* prefix, uint32_t& size_bytes) const;

  const size_t max_message_bytes_;
  std::array<char, kGrpcPrefixBytes> prefix_{};
  size_t prefix_size_ = 0;  // bytes of prefix_ that are there
  uint32_t expected_bytes_ = 0;
  std::string body_;
};

}  // namespace tidemark::server
