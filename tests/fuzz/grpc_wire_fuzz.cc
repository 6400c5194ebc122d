// gRPC's framing and texts: messages do not depend on how their bytes arrived.
#include <utility>

#include "src/server/transport/grpc_wire.h"
#include "tests/fuzz/fuzz_target.h"

namespace tidemark::server {
namespace {

constexpr size_t kMaxMessageBytes = 300;

struct Read {
  std::vector<std::string> messages;
  absl::Status status;
  size_t held_bytes = 0;
};

// `pieces` gives the sizes in which the bytes arrive; 0: all at once.
Read ReadAll(absl::string_view bytes, size_t piece_bytes, bool one_by_one) {
  Read read;
  GrpcMessageReader reader(kMaxMessageBytes);
  while (read.status.ok() && !bytes.empty()) {
    absl::string_view piece = bytes.substr(0, piece_bytes == 0 ? bytes.size() : piece_bytes);
    const size_t piece_size = piece.size();
    read.status = reader.Add(piece, [&](absl::string_view message) {
      read.messages.emplace_back(message);
      return !one_by_one;
    });
    const size_t taken = piece_size - piece.size();
    CHECK(taken > 0 || !read.status.ok());
    bytes.remove_prefix(taken);
    CHECK(reader.held_bytes() <= kMaxMessageBytes + kGrpcPrefixBytes);
  }
  read.held_bytes = reader.held_bytes();
  return read;
}

void CheckFraming(absl::string_view bytes, size_t piece_bytes) {
  const Read whole = ReadAll(bytes, 0, false);
  size_t size_bytes = 0;
  for (const std::string& message : whole.messages) size_bytes += kGrpcPrefixBytes + message.size();
  if (whole.status.ok()) CHECK(size_bytes + whole.held_bytes == bytes.size());
  for (const bool one_by_one : {false, true}) {
    for (const size_t piece : {size_t{0}, size_t{1}, piece_bytes}) {
      const Read other = ReadAll(bytes, piece, one_by_one);
      CHECK(other.messages == whole.messages && other.status == whole.status);
    }
  }
}

void CheckTexts(absl::string_view text) {
  const auto timeout = ParseGrpcTimeout(text);
  if (timeout.has_value()) CHECK(*timeout >= absl::ZeroDuration());
  const std::string encoded = PercentEncode(text);
  std::string decoded;
  for (size_t i = 0; i < encoded.size(); ++i) {
    CHECK(encoded[i] >= 0x20 && encoded[i] <= 0x7e);
    if (encoded[i] != '%') {
      decoded.push_back(encoded[i]);
      continue;
    }
    CHECK(i + 2 < encoded.size());
    decoded.push_back(static_cast<char>(std::stoi(encoded.substr(i + 1, 2), nullptr, 16)));
    i += 2;
  }
  CHECK(decoded == text);
  (void)DecodeBinaryMetadata(text);
  (void)IsGrpcContentType(text);
}

}  // namespace

FUZZ_TARGET(grpc_wire) {
  fuzz::Input in(input);
  const uint8_t piece_bytes = in.Byte();
  CheckFraming(in.rest(), piece_bytes);
  CheckTexts(in.rest());
}

}  // namespace tidemark::server
