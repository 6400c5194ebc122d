#include "src/server/transport/header_field.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "src/server/transport/grpc_wire.h"

namespace tidemark::server {
namespace {

using Kind = HeaderField::Kind;

// RFC 9110, section 5.6.2, in lower case (RFC 9113, section 8.2.1).
bool IsNameChar(char c) {
  constexpr absl::string_view kMarks = "!#$%&'*+-.^_`|~";
  return absl::ascii_isdigit(static_cast<unsigned char>(c)) ||
         absl::ascii_islower(static_cast<unsigned char>(c)) ||
         kMarks.find(c) != absl::string_view::npos;
}

bool IsName(absl::string_view name) {
  if (absl::StartsWith(name, ":")) name.remove_prefix(1);
  return !name.empty() && std::all_of(name.begin(), name.end(), IsNameChar);
}

// RFC 9110, section 5.5: what can be seen, spaces, tabs, and anything above.
bool IsValue(absl::string_view value) {
  return std::all_of(value.begin(), value.end(), [](char c) {
    return c == '\t' || (static_cast<unsigned char>(c) >= ' ' && c != '\x7f');
  });
}

bool IsOfTheConnection(absl::string_view name) {
  return name == "connection" || name == "keep-alive" || name == "proxy-connection" ||
         name == "transfer-encoding" || name == "upgrade";
}

HeaderField ReadPseudo(absl::string_view name, absl::string_view value,
                       const MethodTable& methods) {
  if (name == ":authority") return {Kind::kAuthority};
  if (value.empty()) return {Kind::kBroken};
  if (name == ":method") return {Kind::kMethod};
  if (name == ":scheme") return {Kind::kScheme};
  if (name != ":path") return {Kind::kBroken};
  const auto method = methods.find(value);
  return {Kind::kPath, false, method == methods.end() ? nullptr : method->second};
}

Kind KindOfGrpcHeader(absl::string_view name) {
  if (name == "grpc-timeout") return Kind::kTimeout;
  return name == "grpc-encoding" ? Kind::kEncoding : Kind::kUnused;
}

}  // namespace

http2::HeaderNote HeaderField::ToNote() const {
  const uint32_t number = static_cast<uint32_t>(kind) + 1;  // zero is no note
  return {number << 1 | (is_grpc ? 1 : 0), method};
}

HeaderField HeaderField::FromNote(const http2::HeaderNote& note) {
  return {static_cast<Kind>((note.kind >> 1) - 1), (note.kind & 1) != 0,
          static_cast<const Method*>(note.subject)};
}

std::optional<uint64_t> HeaderField::LengthOf(absl::string_view value) {
  uint64_t length = 0;
  const bool is_number = std::all_of(value.begin(), value.end(), absl::ascii_isdigit) &&
                         absl::SimpleAtoi(value, &length);
  return is_number ? std::make_optional(length) : std::nullopt;
}

HeaderField HeaderField::Read(absl::string_view name, absl::string_view value,
                              const MethodTable& methods) {
  if (!IsName(name) || !IsValue(value)) return {Kind::kBroken};
  if (name[0] == ':') return ReadPseudo(name, value, methods);
  if (name == "content-type") return {Kind::kContentType, IsGrpcContentType(value)};
  if (name == "content-length") {
    return {LengthOf(value).has_value() ? Kind::kContentLength : Kind::kBroken};
  }
  if (name == "te") return {value == "trailers" ? Kind::kUnused : Kind::kBroken};
  if (absl::StartsWith(name, "grpc-")) return {KindOfGrpcHeader(name)};
  if (IsOfTheConnection(name)) return {Kind::kBroken};
  // In every request of every client, and asked for by nobody.
  if (name == "user-agent") return {Kind::kUnused};
  return {absl::EndsWith(name, "-bin") ? Kind::kBinaryMetadata : Kind::kMetadata};
}

}  // namespace tidemark::server
