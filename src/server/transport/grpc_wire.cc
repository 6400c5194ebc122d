#include "src/server/transport/grpc_wire.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "src/base/check.h"
#include "src/base/failpoint.h"
#include "src/base/release.h"

namespace tidemark::server {

absl::optional<absl::Duration> ParseGrpcTimeout(absl::string_view text) {
  if (text.size() < 2 || text.size() > 9) return absl::nullopt;
  int64_t amount = 0;
  for (const char c : text.substr(0, text.size() - 1)) {
    if (c < '0' || c > '9') return absl::nullopt;
    amount = amount * 10 + (c - '0');
  }
  switch (text.back()) {
    case 'H':
      return absl::Hours(amount);
    case 'M':
      return absl::Minutes(amount);
    case 'S':
      return absl::Seconds(amount);
    case 'm':
      return absl::Milliseconds(amount);
    case 'u':
      return absl::Microseconds(amount);
    case 'n':
      return absl::Nanoseconds(amount);
    default:
      return absl::nullopt;
  }
}

std::string PercentEncode(absl::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte <= 0x7e && byte != '%') {
      out.push_back(c);
    } else {
      out.push_back('%');
      out.push_back(kHex[byte >> 4]);
      out.push_back(kHex[byte & 15]);
    }
  }
  return out;
}

absl::optional<std::string> DecodeBinaryMetadata(absl::string_view value) {
  std::string decoded;
  if (!absl::Base64Unescape(value, &decoded)) return absl::nullopt;
  return decoded;
}

bool IsGrpcContentType(absl::string_view content_type) {
  static constexpr absl::string_view kGrpc = "application/grpc";
  if (content_type == kGrpc) return true;
  if (!absl::StartsWithIgnoreCase(content_type, kGrpc)) return false;
  content_type.remove_prefix(kGrpc.size());
  return content_type.empty() || content_type[0] == '+' || content_type[0] == ';';
}

std::array<char, kGrpcPrefixBytes> GrpcPrefix(uint32_t message_bytes) {
  return {0, static_cast<char>(message_bytes >> 24), static_cast<char>(message_bytes >> 16),
          static_cast<char>(message_bytes >> 8), static_cast<char>(message_bytes)};
}

absl::Status GrpcMessageReader::CheckPrefix(const char* prefix, uint32_t& size_bytes) const {
  const auto* bytes = reinterpret_cast<const unsigned char*>(prefix);
  if (bytes[0] == 1) {
    return absl::InternalError("grpc: compressed flag set with identity or empty encoding");
  }
  if (bytes[0] != 0) {
    return absl::InternalError(
        absl::StrCat("grpc: received unexpected payload format ", static_cast<int>(bytes[0])));
  }
  size_bytes = uint32_t{bytes[1]} << 24 | uint32_t{bytes[2]} << 16 | uint32_t{bytes[3]} << 8 |
               uint32_t{bytes[4]};
  if (size_bytes > max_message_bytes_ && !PLANTED_BUG("transport_message_size_unchecked")) {
    return absl::ResourceExhaustedError(absl::StrCat("grpc: received message larger than max (",
                                                     size_bytes, " vs. ", max_message_bytes_, ")"));
  }
  return absl::OkStatus();
}

absl::Status GrpcMessageReader::Add(absl::string_view& bytes,
                                    absl::FunctionRef<bool(absl::string_view)> on_message) {
  while (!bytes.empty()) {
    if (prefix_size_ < kGrpcPrefixBytes) {
      const size_t n = std::min(bytes.size(), kGrpcPrefixBytes - prefix_size_);
      std::memcpy(prefix_.data() + prefix_size_, bytes.data(), n);
      prefix_size_ += n;
      bytes.remove_prefix(n);
      if (prefix_size_ < kGrpcPrefixBytes) break;
      absl::Status status = CheckPrefix(prefix_.data(), expected_bytes_);
      if (!status.ok()) return status;
    }
    absl::string_view message;
    std::string assembled;
    if (body_.empty() && bytes.size() >= expected_bytes_) {
      message = bytes.substr(0, expected_bytes_);  // the usual case: it is all here
      bytes.remove_prefix(expected_bytes_);
    } else {
      const size_t n = std::min(bytes.size(), expected_bytes_ - body_.size());
      body_.append(bytes.data(), n);
      bytes.remove_prefix(n);
      if (body_.size() < expected_bytes_) break;
      assembled = std::exchange(body_, std::string());
      message = assembled;
    }
    prefix_size_ = 0;
    if (!on_message(message)) break;
  }
  return absl::OkStatus();
}

void GrpcMessageReader::Clear() {
  prefix_size_ = 0;
  Release(body_);
}

}  // namespace tidemark::server
