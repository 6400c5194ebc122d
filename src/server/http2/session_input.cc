// What a client's frames do to a session.

#include <algorithm>
#include <utility>

#include "src/base/failpoint.h"
#include "src/server/http2/session.h"

namespace tidemark::server::http2 {
namespace {

constexpr size_t kMaxSettingsPerFrame = 32;
// A client that makes us reset its streams gets round the limit on its own resets (CVE-2025-8671).
constexpr int kMaxFaults = 1000;
constexpr size_t kKeptResets = 1024;
constexpr size_t kPingBytes = 8;
constexpr size_t kGoawayBytes = 8;
constexpr size_t kNumberBytes = 4;  // an error code, an increment

bool IsFault(ErrorCode code) {
  return code == ErrorCode::kProtocolError || code == ErrorCode::kFlowControlError ||
         code == ErrorCode::kStreamClosed || code == ErrorCode::kFrameSizeError;
}

}  // namespace

bool Session::Receive(absl::string_view bytes) {
  if (failed_) return false;
  const ErrorCode error = reader_.Read(bytes, *this);
  if (error != ErrorCode::kNone) Fail(error, "");
  return !failed_;
}

void Session::CountFault(ErrorCode code) {
  if (!IsFault(code) || ++faults_ < kMaxFaults) return;
  Fail(ErrorCode::kEnhanceYourCalm, "too many broken streams");
}

// A stream that nobody has heard of yet.
void Session::RefuseStream(uint32_t stream_id, ErrorCode code) {
  control_.Reset(stream_id, code);
  NoteReset(stream_id);
  CountFault(code);
}

void Session::NoteReset(uint32_t stream_id) {
  if (resets_.size() < kKeptResets) return resets_.push_back(stream_id);
  if (!PLANTED_BUG("http2_forgets_whom_it_reset")) {
    forgotten_resets_up_to_ = std::max(forgotten_resets_up_to_, resets_[next_reset_]);
  }
  resets_[next_reset_] = stream_id;
  next_reset_ = (next_reset_ + 1) % kKeptResets;
}

// Or may have been.
bool Session::WasReset(uint32_t stream_id) const {
  return stream_id <= forgotten_resets_up_to_ ||
         std::find(resets_.begin(), resets_.end(), stream_id) != resets_.end();
}

// Nothing was ever sent on it, by its client; we never open any.
bool Session::IsIdle(uint32_t stream_id) const {
  if (stream_id % 2 == 0) return true;
  return stream_id > last_stream_id_ && !refuses_new_;
}

// Section 8.1.1.
bool Session::CountBody(StreamState& stream, size_t byte_count) {
  if (!stream.declared_bytes.has_value()) return true;
  if (PLANTED_BUG("http2_content_length_ignored")) return true;
  if (byte_count > *stream.declared_bytes) return false;
  *stream.declared_bytes -= byte_count;
  return true;
}

void Session::EndInput(StreamState& stream) {
  if (stream.declared_bytes.value_or(0) > 0 && !PLANTED_BUG("http2_content_length_ignored")) {
    return Reset(stream.id, ErrorCode::kProtocolError);
  }
  stream.input_ended = true;
  if (stream.handler != nullptr) stream.handler->OnInputEnd();
}

// ---- DATA -------------------------------------------------------------------------------------

ErrorCode Session::OnDataBegin(const FrameHead& head) {
  if (failed_) return ErrorCode::kEnhanceYourCalm;
  if (head.stream_id == 0 || IsIdle(head.stream_id)) return ErrorCode::kProtocolError;
  if (head.payload_bytes > receive_window_) return ErrorCode::kFlowControlError;
  receive_window_ -= head.payload_bytes;
  receiving_ = nullptr;
  StreamState* stream = FindState(head.stream_id);
  if (stream == nullptr) {
    OnDataOfClosed(head.stream_id);
  } else if (stream->is_reset) {
    return ErrorCode::kNone;
  } else if (stream->input_ended) {
    Reset(head.stream_id, ErrorCode::kStreamClosed);
  } else if (head.payload_bytes > stream->receive_window) {
    Reset(head.stream_id, ErrorCode::kFlowControlError);
  } else {
    stream->receive_window -= head.payload_bytes;
    receiving_ = stream;
  }
  return ErrorCode::kNone;
}

// From a client that does not know yet, or ended it itself (section 5.1).
void Session::OnDataOfClosed(uint32_t stream_id) {
  if (stream_id <= last_stream_id_ && !WasReset(stream_id)) {
    RefuseStream(stream_id, ErrorCode::kStreamClosed);
  }
}

void Session::OnDataPiece(const FrameHead& head, absl::string_view bytes) {
  if (receiving_ == nullptr || receiving_->is_reset) return ConsumeForConnection(bytes.size());
  if (!CountBody(*receiving_, bytes.size())) {
    Reset(head.stream_id, ErrorCode::kProtocolError);
    return ConsumeForConnection(bytes.size());
  }
  if (receiving_->handler == nullptr) return Consume(head.stream_id, bytes.size());
  receiving_->handler->OnData(bytes);
}

void Session::OnDataPadding(const FrameHead& head, size_t byte_count) {
  if (receiving_ == nullptr) return ConsumeForConnection(byte_count);
  Consume(head.stream_id, byte_count);
}

void Session::OnDataEnd(const FrameHead& head) {
  StreamState* stream = std::exchange(receiving_, nullptr);
  if (stream != nullptr && !stream->is_reset && head.Has(kEndStream)) EndInput(*stream);
}

// ---- HEADERS ----------------------------------------------------------------------------------

ErrorCode Session::OnHeaderBlock(const FrameHead& head, absl::string_view block) {
  if (failed_) return ErrorCode::kEnhanceYourCalm;
  const ErrorCode error = UseBlock(head, block);
  owner_.OnBlockEnd();
  return error;
}

ErrorCode Session::UseBlock(const FrameHead& head, absl::string_view block) {
  if (head.stream_id % 2 == 0) return ErrorCode::kProtocolError;
  if (head.stream_id > last_stream_id_ && !refuses_new_) return BeginStream(head, block);
  StreamState* stream = FindState(head.stream_id);
  if (stream != nullptr && !stream->is_reset) return EndByTrailers(*stream, head, block);
  const bool may_not_know =
      stream != nullptr || WasReset(head.stream_id) || head.stream_id > last_stream_id_;
  // Ended by the client itself, or left out by it (sections 5.1 and 5.1.1).
  if (!may_not_know) return ErrorCode::kStreamClosed;
  return ReadBlock(Owner::Block::kIgnored, block);
}

ErrorCode Session::ReadBlock(Owner::Block kind, absl::string_view block) {
  owner_.OnBlockBegin(kind);
  bool too_much = false;
  const bool is_whole = header_reader_.Read(
      block, [&](absl::string_view name, absl::string_view value, HeaderNote& note) {
        too_much = !owner_.OnHeader(name, value, note);
        return !too_much;
      });
  if (is_whole) return ErrorCode::kNone;
  return too_much ? ErrorCode::kEnhanceYourCalm : ErrorCode::kCompressionError;
}

ErrorCode Session::BeginStream(const FrameHead& head, absl::string_view block) {
  last_stream_id_ = head.stream_id;
  const ErrorCode error = ReadBlock(Owner::Block::kRequest, block);
  if (error != ErrorCode::kNone) return error;
  if (!owner_.IsGoodBlock()) {
    RefuseStream(head.stream_id, ErrorCode::kProtocolError);
    return ErrorCode::kNone;
  }
  if (streams_.size() - ending_count_ >= options_.max_concurrent_streams) {
    RefuseStream(head.stream_id, ErrorCode::kRefusedStream);
    return ErrorCode::kNone;
  }
  StreamState& stream = AddState(head.stream_id);
  stream.declared_bytes = owner_.DeclaredBodyBytes();
  stream.handler = owner_.OnRequest(head.stream_id);
  if (head.Has(kEndStream)) EndInput(stream);
  return ErrorCode::kNone;
}

ErrorCode Session::EndByTrailers(StreamState& stream, const FrameHead& head,
                                 absl::string_view block) {
  const ErrorCode error = ReadBlock(Owner::Block::kTrailers, block);
  if (error != ErrorCode::kNone) return error;
  if (stream.input_ended) {
    Reset(stream.id, ErrorCode::kStreamClosed);
  } else if (!head.Has(kEndStream) || !owner_.IsGoodBlock()) {
    Reset(stream.id, ErrorCode::kProtocolError);
  } else {
    EndInput(stream);
  }
  return ErrorCode::kNone;
}

// ---- the rest ---------------------------------------------------------------------------------

ErrorCode Session::OnFrame(const FrameHead& head, absl::string_view payload) {
  if (failed_) return ErrorCode::kEnhanceYourCalm;
  switch (head.type) {
    case FrameType::kPriority:
      if (head.stream_id == 0) return ErrorCode::kProtocolError;
      return payload.size() == kPriorityBytes ? ErrorCode::kNone : ErrorCode::kFrameSizeError;
    case FrameType::kReset:
      return OnResetFrame(head, payload);
    case FrameType::kSettings:
      return OnSettingsFrame(head, payload);
    case FrameType::kPushPromise:
      return ErrorCode::kProtocolError;
    case FrameType::kPing:
      return OnPingFrame(head, payload);
    case FrameType::kGoaway:
      return OnGoawayFrame(head, payload);
    case FrameType::kWindowUpdate:
      return OnWindowUpdate(head, payload);
    default:
      return ErrorCode::kNone;
  }
}

ErrorCode Session::OnResetFrame(const FrameHead& head, absl::string_view payload) {
  if (payload.size() != kNumberBytes) return ErrorCode::kFrameSizeError;
  if (head.stream_id == 0 || IsIdle(head.stream_id)) return ErrorCode::kProtocolError;
  if (!owner_.OnReset()) return ErrorCode::kEnhanceYourCalm;
  StreamState* stream = FindState(head.stream_id);
  if (stream != nullptr) Close(*stream, ErrorCode::kCancel);
  return ErrorCode::kNone;
}

ErrorCode Session::OnSettingsFrame(const FrameHead& head, absl::string_view payload) {
  if (head.stream_id != 0) return ErrorCode::kProtocolError;
  if (head.Has(kAck)) return payload.empty() ? ErrorCode::kNone : ErrorCode::kFrameSizeError;
  if (payload.size() % kSettingBytes != 0) return ErrorCode::kFrameSizeError;
  if (payload.size() > kMaxSettingsPerFrame * kSettingBytes || !owner_.OnSettings()) {
    return ErrorCode::kEnhanceYourCalm;
  }
  int64_t initial_window = client_stream_window_;
  for (; !payload.empty(); payload.remove_prefix(kSettingBytes)) {
    const ErrorCode error = Apply(static_cast<Setting>(ReadUint16(payload)),
                                  ReadUint32(payload.substr(2)), initial_window);
    if (error != ErrorCode::kNone) return error;
  }
  // Once for the frame: it concerns all streams.
  if (const ErrorCode error = SetInitialWindow(initial_window); error != ErrorCode::kNone) {
    return error;
  }
  control_.Frame(FrameType::kSettings, kAck, 0, "");
  return ErrorCode::kNone;
}

ErrorCode Session::Apply(Setting setting, uint32_t value, int64_t& initial_window) {
  switch (setting) {
    case Setting::kHeaderTableSize:
      header_writer_.SetMaxTableBytes(value);
      return ErrorCode::kNone;
    case Setting::kEnablePush:
      return value <= 1 ? ErrorCode::kNone : ErrorCode::kProtocolError;
    case Setting::kInitialWindowSize:
      initial_window = value;
      return value <= kMaxWindowBytes ? ErrorCode::kNone : ErrorCode::kFlowControlError;
    case Setting::kMaxFrameSize:
      if (value < kLeastMaxFrameBytes || value > kMostMaxFrameBytes) {
        return ErrorCode::kProtocolError;
      }
      client_max_frame_bytes_ = value;
      return ErrorCode::kNone;
    default:
      return ErrorCode::kNone;
  }
}

// Streams that are open already have it changed by the difference, below zero if need be
// (section 6.9.2).
ErrorCode Session::SetInitialWindow(int64_t byte_count) {
  const int64_t more_bytes = byte_count - client_stream_window_;
  if (more_bytes == 0) return ErrorCode::kNone;
  client_stream_window_ = byte_count;
  for (const auto& [id, stream] : streams_) {
    if (stream->send_window + more_bytes > kMaxWindowBytes) return ErrorCode::kFlowControlError;
    stream->send_window += more_bytes;
    if (more_bytes > 0) Resume(*stream);
  }
  return ErrorCode::kNone;
}

ErrorCode Session::OnPingFrame(const FrameHead& head, absl::string_view payload) {
  if (payload.size() != kPingBytes) return ErrorCode::kFrameSizeError;
  if (head.stream_id != 0) return ErrorCode::kProtocolError;
  if (head.Has(kAck)) {
    owner_.OnPingAnswer();
    return ErrorCode::kNone;
  }
  control_.Frame(FrameType::kPing, kAck, 0, payload);
  if (!owner_.OnPing()) Fail(ErrorCode::kEnhanceYourCalm, "too_many_pings");
  return ErrorCode::kNone;
}

ErrorCode Session::OnGoawayFrame(const FrameHead& head, absl::string_view payload) {
  if (payload.size() < kGoawayBytes) return ErrorCode::kFrameSizeError;
  if (head.stream_id != 0) return ErrorCode::kProtocolError;
  goaway_received_ = true;
  return ErrorCode::kNone;
}

ErrorCode Session::OnWindowUpdate(const FrameHead& head, absl::string_view payload) {
  if (payload.size() != kNumberBytes) return ErrorCode::kFrameSizeError;
  const uint32_t byte_count = ReadUint32(payload) & INT32_MAX;  // the highest bit is reserved
  if (head.stream_id != 0) {
    if (IsIdle(head.stream_id)) return ErrorCode::kProtocolError;
    return WidenStream(head.stream_id, byte_count);
  }
  if (byte_count == 0) return ErrorCode::kProtocolError;
  if (send_window_ + byte_count > kMaxWindowBytes) return ErrorCode::kFlowControlError;
  send_window_ += byte_count;
  return ErrorCode::kNone;
}

ErrorCode Session::WidenStream(uint32_t stream_id, uint32_t byte_count) {
  StreamState* stream = FindState(stream_id);
  if (stream == nullptr || stream->is_reset) return ErrorCode::kNone;
  if (byte_count == 0) {
    Reset(stream_id, ErrorCode::kProtocolError);
  } else if (stream->send_window + byte_count > kMaxWindowBytes &&
             !PLANTED_BUG("http2_windows_overflow")) {
    Reset(stream_id, ErrorCode::kFlowControlError);
  } else {
    stream->send_window += byte_count;
    Resume(*stream);
  }
  return ErrorCode::kNone;
}

}  // namespace tidemark::server::http2
