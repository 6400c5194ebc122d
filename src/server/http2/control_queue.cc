#include "src/server/http2/control_queue.h"

#include <algorithm>

#include "src/base/failpoint.h"
#include "src/base/release.h"

namespace tidemark::server::http2 {

void ControlQueue::Frame(FrameType type, uint8_t flags, uint32_t stream_id,
                         absl::string_view payload) {
  AppendFrame(bytes_, type, flags, stream_id, payload);
  ++frame_count_;
}

void ControlQueue::Reset(uint32_t stream_id, ErrorCode code) {
  AppendReset(bytes_, stream_id, code);
  ++frame_count_;
}

void ControlQueue::WindowUpdate(uint32_t stream_id, int64_t byte_count) {
  AppendWindowUpdate(bytes_, stream_id, static_cast<uint32_t>(byte_count));
  ++frame_count_;
}

void ControlQueue::Goaway(uint32_t last_stream_id, ErrorCode code, absl::string_view reason) {
  AppendGoaway(bytes_, last_stream_id, code, reason);
  ++frame_count_;
}

bool ControlQueue::Flush(OutputQueue& queue, size_t max_bytes) {
  constexpr size_t kKeptBytes = 8 << 10;
  if (empty()) return true;
  const size_t room = max_bytes - std::min(max_bytes, queue.size_bytes());
  const size_t n = PLANTED_BUG("http2_control_without_bound") ? waiting_bytes()
                                                              : std::min(waiting_bytes(), room);
  queue.AppendCopy(absl::string_view(bytes_).substr(taken_bytes_, n));
  taken_bytes_ += n;
  if (waiting_bytes() > 0) return false;
  if (bytes_.capacity() > kKeptBytes) Release(bytes_);
  bytes_.clear();
  taken_bytes_ = frame_count_ = 0;
  return true;
}

}  // namespace tidemark::server::http2
