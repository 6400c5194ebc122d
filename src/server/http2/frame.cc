#include "src/server/http2/frame.h"

#include "src/base/check.h"

namespace tidemark::server::http2 {
namespace {

constexpr uint32_t kStreamIdMask = 0x7fffffff;  // the highest bit is reserved

uint32_t Byte(absl::string_view bytes, size_t at) { return static_cast<uint8_t>(bytes[at]); }

void AppendUint32(std::string& out, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(value >> shift));
}

}  // namespace

uint16_t ReadUint16(absl::string_view bytes) {
  return static_cast<uint16_t>(Byte(bytes, 0) << 8 | Byte(bytes, 1));
}

uint32_t ReadUint32(absl::string_view bytes) {
  return Byte(bytes, 0) << 24 | Byte(bytes, 1) << 16 | Byte(bytes, 2) << 8 | Byte(bytes, 3);
}

FrameHead ReadFrameHead(absl::string_view bytes) {
  FrameHead head;
  head.payload_bytes = Byte(bytes, 0) << 16 | Byte(bytes, 1) << 8 | Byte(bytes, 2);
  head.type = static_cast<FrameType>(bytes[3]);
  head.flags = static_cast<uint8_t>(bytes[4]);
  head.stream_id = ReadUint32(bytes.substr(5)) & kStreamIdMask;
  return head;
}

std::array<char, kFrameHeadBytes> FrameHeadBytes(const FrameHead& head) {
  CHECK(head.payload_bytes <= kMostMaxFrameBytes);
  return {static_cast<char>(head.payload_bytes >> 16),
          static_cast<char>(head.payload_bytes >> 8),
          static_cast<char>(head.payload_bytes),
          static_cast<char>(head.type),
          static_cast<char>(head.flags),
          static_cast<char>(head.stream_id >> 24),
          static_cast<char>(head.stream_id >> 16),
          static_cast<char>(head.stream_id >> 8),
          static_cast<char>(head.stream_id)};
}

void AppendFrame(std::string& out, FrameType type, uint8_t flags, uint32_t stream_id,
                 absl::string_view payload) {
  const auto head = FrameHeadBytes({static_cast<uint32_t>(payload.size()), type, flags, stream_id});
  out.append(head.data(), head.size());
  out.append(payload.data(), payload.size());
}

void AppendReset(std::string& out, uint32_t stream_id, ErrorCode code) {
  const auto head = FrameHeadBytes({4, FrameType::kReset, 0, stream_id});
  out.append(head.data(), head.size());
  AppendUint32(out, static_cast<uint32_t>(code));
}

void AppendWindowUpdate(std::string& out, uint32_t stream_id, uint32_t byte_count) {
  CHECK(byte_count > 0 && byte_count <= kMaxWindowBytes);
  const auto head = FrameHeadBytes({4, FrameType::kWindowUpdate, 0, stream_id});
  out.append(head.data(), head.size());
  AppendUint32(out, byte_count);
}

void AppendGoaway(std::string& out, uint32_t last_stream_id, ErrorCode code,
                  absl::string_view reason) {
  std::string payload;
  AppendUint32(payload, last_stream_id);
  AppendUint32(payload, static_cast<uint32_t>(code));
  payload.append(reason.data(), reason.size());
  AppendFrame(out, FrameType::kGoaway, 0, 0, payload);
}

void AppendSetting(std::string& payload, Setting setting, uint32_t value) {
  const auto id = static_cast<uint16_t>(setting);
  payload.push_back(static_cast<char>(id >> 8));
  payload.push_back(static_cast<char>(id));
  AppendUint32(payload, value);
}

}  // namespace tidemark::server::http2
