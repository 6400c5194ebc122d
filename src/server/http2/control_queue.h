// Frames besides DATA on their way to a connection's output, in order.
//
// Hides how far they have been taken. What waits here is counted, because a client that does not
// read can make us add to it. Bound to the session's thread.
#pragma once

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"
#include "src/server/http2/frame.h"
#include "src/server/output_queue.h"

namespace tidemark::server::http2 {

class ControlQueue {
 public:
  void Frame(FrameType type, uint8_t flags, uint32_t stream_id, absl::string_view payload);
  void Reset(uint32_t stream_id, ErrorCode code);
  void WindowUpdate(uint32_t stream_id, int64_t byte_count);
  void Goaway(uint32_t last_stream_id, ErrorCode code, absl::string_view reason);

  // Until `queue` holds `max_bytes`. False: not all of it fits; nothing else may be sent before the
  // rest.
  bool Flush(OutputQueue& queue, size_t max_bytes);

  bool empty() const { return bytes_.empty(); }
  size_t frame_count() const { return frame_count_; }  // since it was empty
  size_t waiting_bytes() const { return bytes_.size() - taken_bytes_; }
  size_t held_bytes() const { return bytes_.capacity(); }

 private:
  std::string bytes_;
  size_t taken_bytes_ = 0;
  size_t frame_count_ = 0;
};

}  // namespace tidemark::server::http2
