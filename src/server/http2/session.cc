#include "src/server/http2/session.h"

#include <algorithm>
#include <utility>

#include "src/base/check.h"
#include "src/base/failpoint.h"

namespace tidemark::server::http2 {
namespace {

// A block of headers may be that much longer than clients are told: it must be read anyway.
constexpr size_t kBlockFactor = 2;
constexpr size_t kMaxSpareStates = 64;

}  // namespace

Session::Session(const SessionOptions& options, Owner& owner)
    : options_(options),
      owner_(owner),
      reader_(kBlockFactor * options.max_header_list_bytes),
      receive_window_(options.connection_window_bytes) {
  CHECK(options.stream_window_bytes >= kInitialWindowBytes);
  CHECK(options.connection_window_bytes > kInitialWindowBytes);
  std::string settings;
  AppendSetting(settings, Setting::kMaxConcurrentStreams, options.max_concurrent_streams);
  AppendSetting(settings, Setting::kInitialWindowSize,
                static_cast<uint32_t>(options.stream_window_bytes));
  AppendSetting(settings, Setting::kMaxHeaderListSize, options.max_header_list_bytes);
  // Nobody's wishes are asked for: every stream has its turn.
  AppendSetting(settings, Setting::kNoRfc7540Priorities, 1);
  control_.Frame(FrameType::kSettings, 0, 0, settings);
  control_.WindowUpdate(0, options.connection_window_bytes - kInitialWindowBytes);
}

Session::~Session() = default;

StreamState* Session::FindState(uint32_t stream_id) const {
  const auto it = streams_.find(stream_id);
  return it == streams_.end() ? nullptr : it->second.get();
}

StreamState& Session::AddState(uint32_t stream_id) {
  std::unique_ptr<StreamState> state;
  if (spare_.empty()) {
    state = std::make_unique<StreamState>();
  } else {
    state = std::move(spare_.back());
    spare_.pop_back();
    *state = StreamState();
  }
  state->id = stream_id;
  state->receive_window = options_.stream_window_bytes;
  state->send_window = client_stream_window_;
  return *streams_.emplace(stream_id, std::move(state)).first->second;
}

std::shared_ptr<Stream> Session::Find(uint32_t stream_id) const {
  const StreamState* stream = FindState(stream_id);
  return stream == nullptr ? nullptr : stream->handler;
}

std::vector<std::shared_ptr<Stream>> Session::streams() const {
  std::vector<std::shared_ptr<Stream>> streams;
  streams.reserve(streams_.size());
  for (const auto& [id, stream] : streams_) {
    if (stream->handler != nullptr) streams.push_back(stream->handler);
  }
  return streams;
}

bool Session::IsOver() const {
  if (failed_) return true;
  return (goaway_received_ || refuses_new_) && streams_.empty() && control_.empty();
}

void Session::Fail(ErrorCode code, absl::string_view reason) {
  if (std::exchange(failed_, true)) return;
  failure_ = reason;
  control_.Goaway(last_stream_id_, code, reason);
}

// ---- what streams ask for ---------------------------------------------------------------------

void Session::Respond(uint32_t stream_id, absl::Span<const Header> headers, bool has_body) {
  StreamState* stream = FindState(stream_id);
  if (stream == nullptr || stream->is_reset || failed_) return;
  AppendHeaders(stream_id, headers, has_body ? 0 : kEndStream);
  if (has_body) {
    stream->has_body = true;
    ready_.PushBack(*stream);
  } else {
    stream->output_ended = true;
    MarkEnding(*stream);
  }
}

void Session::MarkEnding(StreamState& stream) {
  if (std::exchange(stream.is_ending, true)) return;
  ++ending_count_;
  ended_.push_back(stream.id);
}

void Session::Trailers(uint32_t stream_id, absl::Span<const Header> headers) {
  AppendHeaders(stream_id, headers, kEndStream);
}

void Session::AppendHeaders(uint32_t stream_id, absl::Span<const Header> headers, uint8_t flags) {
  block_.clear();
  header_writer_.Append(headers, block_);
  absl::string_view rest = block_;
  FrameType type = FrameType::kHeaders;
  do {
    const absl::string_view piece = rest.substr(0, client_max_frame_bytes_);
    rest.remove_prefix(piece.size());
    control_.Frame(type, flags | (rest.empty() ? kEndHeaders : 0), stream_id, piece);
    type = FrameType::kContinuation;
    flags = 0;
  } while (!rest.empty());
  ++answer_frames_;
}

void Session::ResumeOutput(uint32_t stream_id) {
  if (StreamState* stream = FindState(stream_id)) Resume(*stream);
}

void Session::Resume(StreamState& stream) {
  if (stream.is_reset || !stream.has_body || stream.output_ended) return;
  if (stream.list != &ready_) ready_.PushBack(stream);
}

void Session::Reset(uint32_t stream_id, ErrorCode code) {
  StreamState* stream = FindState(stream_id);
  if (stream == nullptr || std::exchange(stream->is_reset, true)) return;
  stream->end_code = code;
  StreamList::Remove(*stream);
  NoteReset(stream_id);
  control_.Reset(stream_id, code);
  MarkEnding(*stream);
}

void Session::Consume(uint32_t stream_id, size_t byte_count) {
  ConsumeForConnection(byte_count);
  StreamState* stream = FindState(stream_id);
  if (stream == nullptr || stream->input_ended || stream->is_reset) return;
  stream->consumed_bytes += static_cast<int64_t>(byte_count);
  if (2 * stream->consumed_bytes < options_.stream_window_bytes) return;
  control_.WindowUpdate(stream_id, stream->consumed_bytes);
  stream->receive_window += std::exchange(stream->consumed_bytes, 0);
}

void Session::ConsumeForConnection(size_t byte_count) {
  consumed_bytes_ += static_cast<int64_t>(byte_count);
  CHECK(receive_window_ + consumed_bytes_ <= options_.connection_window_bytes);
  if (2 * consumed_bytes_ < options_.connection_window_bytes) return;
  control_.WindowUpdate(0, consumed_bytes_);
  receive_window_ += std::exchange(consumed_bytes_, 0);
}

void Session::Ping(absl::string_view eight_bytes) {
  control_.Frame(FrameType::kPing, 0, 0, eight_bytes);
}

void Session::AnnounceGoaway() {
  if (failed_) return;
  control_.Goaway(kMaxStreamId, ErrorCode::kNone, "");
}

void Session::Goaway() {
  refuses_new_ = true;
  if (failed_) return;
  control_.Goaway(last_stream_id_, ErrorCode::kNone, "");
}

// ---- output -----------------------------------------------------------------------------------

void Session::Fill(OutputQueue& queue, size_t max_bytes) {
  while (true) {
    if (queue.size_bytes() >= max_bytes) return;
    EndStreams();
    if (!control_.Flush(queue, max_bytes) || failed_ || !WriteNextData(queue)) return;
  }
}

void Session::EndStreams() {
  while (!ended_.empty()) {
    ending_.swap(ended_);
    for (const uint32_t id : ending_) {
      StreamState* stream = FindState(id);
      if (stream == nullptr) continue;
      if (!stream->is_reset && !stream->input_ended) {
        // Answered in full while the client is still sending: it may stop (section 8.1).
        control_.Reset(id, ErrorCode::kNone);
        NoteReset(id);
      }
      Close(*stream, stream->end_code);
    }
    ending_.clear();
  }
}

void Session::Close(StreamState& stream, ErrorCode code) {
  CountFault(code);
  StreamList::Remove(stream);
  if (receiving_ == &stream) receiving_ = nullptr;
  if (stream.is_ending) --ending_count_;
  const std::shared_ptr<Stream> handler = std::move(stream.handler);
  const auto it = streams_.find(stream.id);
  if (spare_.size() < kMaxSpareStates) spare_.push_back(std::move(it->second));
  streams_.erase(it);
  if (handler != nullptr) handler->OnClosed(code);
}

void Session::CloseAll() {
  const auto streams = std::exchange(streams_, {});
  ending_count_ = 0;
  receiving_ = nullptr;
  for (const auto& [id, stream] : streams) {
    StreamList::Remove(*stream);
    if (stream->handler != nullptr) stream->handler->OnClosed(ErrorCode::kCancel);
  }
}

// Whom the connection's window held up comes first, but only once there is something of it: else
// each small update would have us look at all of them.
StreamState* Session::NextToSend() const {
  if (send_window_ > 0 && starved_.front() != nullptr) return starved_.front();
  return ready_.front();
}

// False: nobody has anything that could be sent.
bool Session::WriteNextData(OutputQueue& queue) {
  while (StreamState* stream = NextToSend()) {
    const Stream::Ready ready = stream->handler->PeekOutput(DataRoom(*stream));
    if (ready.byte_count > 0 || ready.last) {
      WriteData(*stream, ready, queue);
      return true;
    }
    // Its own window's update, or more output, brings it back.
    StreamList::Remove(*stream);
    if (send_window_ <= 0) starved_.PushBack(*stream);
  }
  return false;
}

size_t Session::DataRoom(const StreamState& stream) const {
  // Large frames save headers; smaller ones let other streams in between.
  constexpr int64_t kMaxDataFrameBytes = 128 << 10;
  const int64_t room = std::min({send_window_, stream.send_window, kMaxDataFrameBytes,
                                 static_cast<int64_t>(client_max_frame_bytes_)});
  return static_cast<size_t>(std::max<int64_t>(room, 0));
}

void Session::WriteData(StreamState& stream, const Stream::Ready& ready, OutputQueue& queue) {
  const uint32_t id = stream.id;
  // They wait in `control_`, behind this frame.
  const bool has_trailers = ready.last && stream.handler->SubmitTrailers();
  const auto byte_count = static_cast<uint32_t>(ready.byte_count);
  if (byte_count > 0 || !has_trailers) {
    const bool ends_stream = ready.last && !has_trailers;
    const auto head =
        FrameHeadBytes({byte_count, FrameType::kData, ends_stream ? kEndStream : uint8_t{0}, id});
    queue.AppendCopy(absl::string_view(head.data(), head.size()));
    ++answer_frames_;
  }
  if (!PLANTED_BUG("http2_clients_window_ignored")) {
    send_window_ -= byte_count;
    stream.send_window -= byte_count;
  }
  if (byte_count > 0) stream.handler->TakeOutput(byte_count, queue);
  if (!ready.last) return ready_.PushBack(stream);
  StreamList::Remove(stream);
  stream.output_ended = true;
  MarkEnding(stream);
}

}  // namespace tidemark::server::http2
