// HTTP/2's frames as bytes: heads, types, flags and codes (RFC 9113, sections 4, 6 and 7).
//
// Pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace tidemark::server::http2 {

enum class FrameType : uint8_t {
  kData = 0,
  kHeaders = 1,
  kPriority = 2,
  kReset = 3,
  kSettings = 4,
  kPushPromise = 5,
  kPing = 6,
  kGoaway = 7,
  kWindowUpdate = 8,
  kContinuation = 9,
};

constexpr uint8_t kEndStream = 0x1;   // DATA, HEADERS
constexpr uint8_t kAck = 0x1;         // SETTINGS, PING
constexpr uint8_t kEndHeaders = 0x4;  // HEADERS, CONTINUATION
constexpr uint8_t kPadded = 0x8;      // DATA, HEADERS
constexpr uint8_t kPriority = 0x20;   // HEADERS

enum class ErrorCode : uint32_t {
  kNone = 0,
  kProtocolError = 1,
  kInternalError = 2,
  kFlowControlError = 3,
  kStreamClosed = 5,
  kFrameSizeError = 6,
  kRefusedStream = 7,
  kCancel = 8,
  kCompressionError = 9,
  kEnhanceYourCalm = 11,
};

enum class Setting : uint16_t {
  kHeaderTableSize = 1,
  kEnablePush = 2,
  kMaxConcurrentStreams = 3,
  kInitialWindowSize = 4,
  kMaxFrameSize = 5,
  kMaxHeaderListSize = 6,
  kNoRfc7540Priorities = 9,  // RFC 9218
};

constexpr absl::string_view kClientPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr size_t kFrameHeadBytes = 9;
constexpr size_t kPriorityBytes = 5;  // of PRIORITY, and what HEADERS may begin with
constexpr size_t kSettingBytes = 6;
constexpr uint32_t kLeastMaxFrameBytes = 16 << 10;  // what everybody takes
constexpr uint32_t kMostMaxFrameBytes = (1 << 24) - 1;
constexpr int64_t kInitialWindowBytes = 65535;  // until SETTINGS say otherwise
constexpr int64_t kMaxWindowBytes = INT32_MAX;
constexpr uint32_t kMaxStreamId = INT32_MAX;

struct FrameHead {
  uint32_t payload_bytes = 0;
  FrameType type = FrameType::kData;  // or one that nobody knows
  uint8_t flags = 0;
  uint32_t stream_id = 0;

  bool Has(uint8_t flag) const { return (flags & flag) != 0; }
};

uint16_t ReadUint16(absl::string_view bytes);
uint32_t ReadUint32(absl::string_view bytes);
FrameHead ReadFrameHead(absl::string_view bytes);
std::array<char, kFrameHeadBytes> FrameHeadBytes(const FrameHead& head);

// Whole frames, appended to `out`.
void AppendFrame(std::string& out, FrameType type, uint8_t flags, uint32_t stream_id,
                 absl::string_view payload);
void AppendReset(std::string& out, uint32_t stream_id, ErrorCode code);
void AppendWindowUpdate(std::string& out, uint32_t stream_id, uint32_t byte_count);
void AppendGoaway(std::string& out, uint32_t last_stream_id, ErrorCode code,
                  absl::string_view reason);
// The payload of a SETTINGS frame, one at a time.
void AppendSetting(std::string& payload, Setting setting, uint32_t value);

}  // namespace tidemark::server::http2
