// A frame as bytes, in one expression.
#pragma once

#include <string>

#include "src/server/http2/frame.h"

namespace tidemark::server::http2 {

inline std::string FrameOf(FrameType type, uint8_t flags, uint32_t stream_id,
                           absl::string_view payload) {
  std::string out;
  AppendFrame(out, type, flags, stream_id, payload);
  return out;
}

}  // namespace tidemark::server::http2
