#include "src/server/http2/frame_reader.h"

#include <algorithm>
#include <utility>

#include "src/base/failpoint.h"
#include "src/base/release.h"

namespace tidemark::server::http2 {
namespace {

// False: there is more padding than payload.
bool StripPadding(const FrameHead& head, absl::string_view& payload) {
  if (!head.Has(kPadded)) return true;
  if (payload.empty()) return false;
  const size_t padding_bytes = static_cast<uint8_t>(payload[0]);
  payload.remove_prefix(1);
  if (padding_bytes > payload.size()) return false;
  payload.remove_suffix(padding_bytes);
  return true;
}

}  // namespace

ErrorCode FrameReader::Read(absl::string_view bytes, Sink& sink) {
  while (true) {
    const State before = state_;
    const ErrorCode error = Step(bytes, sink);
    if (error != ErrorCode::kNone) return error;
    // Some steps need no bytes.
    if (bytes.empty() && state_ == before) return ErrorCode::kNone;
  }
}

ErrorCode FrameReader::Step(absl::string_view& bytes, Sink& sink) {
  switch (state_) {
    case State::kPreface:
      return ReadPreface(bytes);
    case State::kHead:
      return ReadHead(bytes, sink);
    case State::kPayload:
      return ReadPayload(bytes, sink);
    case State::kPadLength:
      return ReadPadLength(bytes, sink);
    case State::kData:
      ReadData(bytes, sink);
      return ErrorCode::kNone;
    case State::kPadding:
      ReadPadding(bytes, sink);
      return ErrorCode::kNone;
  }
  return ErrorCode::kInternalError;
}

// True: `whole` has that many bytes, in place where they came in one piece.
bool FrameReader::Gather(absl::string_view& bytes, size_t whole_bytes, absl::string_view& whole) {
  if (gathered_.empty() && bytes.size() >= whole_bytes) {
    whole = bytes.substr(0, whole_bytes);
    bytes.remove_prefix(whole_bytes);
    return true;
  }
  const size_t n = std::min(bytes.size(), whole_bytes - gathered_.size());
  gathered_.append(bytes.data(), n);
  bytes.remove_prefix(n);
  whole = gathered_;
  return gathered_.size() == whole_bytes;
}

ErrorCode FrameReader::ReadPreface(absl::string_view& bytes) {
  absl::string_view preface;
  if (!Gather(bytes, kClientPreface.size(), preface)) return ErrorCode::kNone;
  if (preface != kClientPreface) return ErrorCode::kProtocolError;
  gathered_.clear();
  state_ = State::kHead;
  return ErrorCode::kNone;
}

ErrorCode FrameReader::ReadHead(absl::string_view& bytes, Sink& sink) {
  absl::string_view head;
  if (!Gather(bytes, kFrameHeadBytes, head)) return ErrorCode::kNone;
  head_ = ReadFrameHead(head);
  gathered_.clear();
  if (head_.payload_bytes > kLeastMaxFrameBytes) return ErrorCode::kFrameSizeError;
  if (const ErrorCode error = CheckOrder(); error != ErrorCode::kNone) return error;
  had_settings_ = true;
  if (head_.type != FrameType::kData) {
    state_ = State::kPayload;
    return ErrorCode::kNone;
  }
  if (const ErrorCode error = sink.OnDataBegin(head_); error != ErrorCode::kNone) return error;
  left_bytes_ = head_.payload_bytes;
  padding_bytes_ = 0;
  state_ = head_.Has(kPadded) ? State::kPadLength : State::kData;
  if (state_ == State::kPadLength && left_bytes_ == 0) return ErrorCode::kFrameSizeError;
  return ErrorCode::kNone;
}

ErrorCode FrameReader::CheckOrder() const {
  if (!had_settings_ && (head_.type != FrameType::kSettings || head_.Has(kAck))) {
    return ErrorCode::kProtocolError;
  }
  const bool continues = head_.type == FrameType::kContinuation;
  if (continues != in_block_ || (continues && head_.stream_id != block_head_.stream_id)) {
    if (!PLANTED_BUG("http2_blocks_may_be_broken_up")) return ErrorCode::kProtocolError;
  }
  return ErrorCode::kNone;
}

ErrorCode FrameReader::ReadPayload(absl::string_view& bytes, Sink& sink) {
  absl::string_view payload;
  if (!Gather(bytes, head_.payload_bytes, payload)) return ErrorCode::kNone;
  state_ = State::kHead;
  const ErrorCode error = Dispatch(payload, sink);
  if (!gathered_.empty()) Release(gathered_);
  return error;
}

ErrorCode FrameReader::ReadPadLength(absl::string_view& bytes, Sink& sink) {
  if (bytes.empty()) return ErrorCode::kNone;
  padding_bytes_ = static_cast<uint8_t>(bytes[0]);
  bytes.remove_prefix(1);
  --left_bytes_;
  if (padding_bytes_ > left_bytes_) return ErrorCode::kProtocolError;
  left_bytes_ -= padding_bytes_;
  sink.OnDataPadding(head_, 1);
  state_ = State::kData;
  return ErrorCode::kNone;
}

void FrameReader::ReadData(absl::string_view& bytes, Sink& sink) {
  const size_t n = std::min(bytes.size(), left_bytes_);
  left_bytes_ -= n;
  const absl::string_view piece = bytes.substr(0, n);
  bytes.remove_prefix(n);
  if (n > 0) sink.OnDataPiece(head_, piece);
  if (left_bytes_ > 0) return;
  if (padding_bytes_ == 0) return EndData(sink);
  state_ = State::kPadding;
}

void FrameReader::ReadPadding(absl::string_view& bytes, Sink& sink) {
  const size_t n = std::min(bytes.size(), padding_bytes_);
  padding_bytes_ -= n;
  bytes.remove_prefix(n);
  if (n > 0) sink.OnDataPadding(head_, n);
  if (padding_bytes_ == 0) EndData(sink);
}

void FrameReader::EndData(Sink& sink) {
  state_ = State::kHead;
  sink.OnDataEnd(head_);
}

ErrorCode FrameReader::Dispatch(absl::string_view payload, Sink& sink) {
  switch (head_.type) {
    case FrameType::kHeaders:
      return BeginBlock(payload, sink);
    case FrameType::kContinuation:
      return ContinueBlock(payload, sink);
    default:
      return sink.OnFrame(head_, payload);
  }
}

ErrorCode FrameReader::BeginBlock(absl::string_view payload, Sink& sink) {
  if (!StripPadding(head_, payload)) return ErrorCode::kProtocolError;
  if (head_.Has(kPriority)) {
    if (payload.size() < kPriorityBytes) return ErrorCode::kFrameSizeError;
    payload.remove_prefix(kPriorityBytes);
  }
  if (head_.Has(kEndHeaders)) return sink.OnHeaderBlock(head_, payload);
  in_block_ = true;
  block_head_ = head_;
  block_ = std::string(payload);
  continuations_ = 0;
  return ErrorCode::kNone;
}

ErrorCode FrameReader::ContinueBlock(absl::string_view payload, Sink& sink) {
  block_.append(payload.data(), payload.size());
  const bool too_much =
      block_.size() > max_header_block_bytes_ || ++continuations_ > kMaxContinuations;
  if (too_much && !PLANTED_BUG("http2_header_blocks_without_bound")) {
    return ErrorCode::kEnhanceYourCalm;
  }
  if (!head_.Has(kEndHeaders)) return ErrorCode::kNone;
  in_block_ = false;
  const std::string block = std::exchange(block_, std::string());
  return sink.OnHeaderBlock(block_head_, block);
}

}  // namespace tidemark::server::http2
