#include "src/server/transport/http2_connection.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "src/base/failpoint.h"
#include "src/base/log.h"
#include "src/server/transport/grpc_call.h"
#include "src/server/transport/http2_callbacks.h"
#include "src/server/transport/http2_exchange.h"

namespace tidemark::server {
namespace {

constexpr uint8_t kShutdownPing[8] = {'s', 'h', 'u', 't', 'd', 'o', 'w', 'n'};
// For the answer to that ping, and for lasting calls' last bytes.
constexpr absl::Duration kShutdownPatience = absl::Seconds(1);
// Legitimate clients cancel thousands of calls at once when they give up on a server.
constexpr uint64_t kResetBurst = 20000;
constexpr uint64_t kResetsPerSecond = 2000;
constexpr size_t kMaxSettingsPerFrame = 32;
// A client that makes us reset its calls gets round the limit on its own resets (CVE-2025-8671).
constexpr int kMaxStreamFaults = 1000;
// Frames that wait for the client to read: refusals, resets, heads of answers. Beyond, it is not
// read either, so what one read brings is all that can be added.
constexpr size_t kMaxWaitingFrames = 10000;
constexpr size_t kWaitingFrameBytes = 512;  // with the stream that it belongs to

}  // namespace

Http2Connection::Http2Connection(Connection& connection)
    : connection_(connection),
      context_(connection.context()),
      header_cache_(context_.method_by_path),
      ping_policy_(context_.options.keepalive.client_min_interval),
      last_input_(connection.loop().now()) {
  nghttp2_option* option = nullptr;
  CHECK(nghttp2_option_new(&option) == 0);
  nghttp2_option_set_no_auto_window_update(option, 1);
  nghttp2_option_set_no_closed_streams(option, 1);
  nghttp2_option_set_no_http_messaging(option, 1);  // HeaderRules do that
  nghttp2_option_set_max_settings(option, kMaxSettingsPerFrame);
  nghttp2_option_set_stream_reset_rate_limit(option, kResetBurst, kResetsPerSecond);
  CHECK(nghttp2_session_server_new2(&session_, Http2Callbacks::Get(), this, option) == 0);
  nghttp2_option_del(option);
  SubmitSettings();
  ScheduleKeepalive();
}

Http2Connection::~Http2Connection() {
  if (session_ != nullptr) nghttp2_session_del(session_);
}

void Http2Connection::SubmitSettings() {
  const TransportOptions& options = context_.options;
  const nghttp2_settings_entry entries[] = {
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, options.max_concurrent_streams},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, static_cast<uint32_t>(options.stream_window_bytes)},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<uint32_t>(options.max_metadata_bytes)},
      // A tree of priorities would be walked for every frame, however deep clients make it.
      {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
  };
  CHECK(nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, entries, std::size(entries)) == 0);
  CHECK(nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0,
                                              options.connection_window_bytes) == 0);
}

bool Http2Connection::OnInput(absl::string_view bytes) {
  last_input_ = connection_.loop().now();
  const ssize_t n = nghttp2_session_mem_recv(
      session_, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  if (n < 0) {
    TLOG(kDebug, "closing HTTP/2 connection",
         {{"remote-addr", connection_.peer().address},
          {"error", nghttp2_strerror(static_cast<int>(n))}});
    failed_ = true;
    if (n == NGHTTP2_ERR_FLOODED) end_code_ = NGHTTP2_ENHANCE_YOUR_CALM;
    nghttp2_session_terminate_session(session_, end_code_);
    return false;
  }
  return true;
}

bool Http2Connection::FillOutput(OutputQueue& queue) {
  output_ = &queue;
  while (HasOutputRoom()) {
    const uint8_t* bytes = nullptr;
    const ssize_t n = nghttp2_session_mem_send(session_, &bytes);
    if (n < 0) failed_ = true;
    if (n <= 0) break;
    queue.AppendCopy(absl::string_view(reinterpret_cast<const char*>(bytes), n));
  }
  output_ = nullptr;
  DeliverAfterSend();
  if (!waiting_.empty() && HasUnsentRoom()) ResumeWaiting();
  if (failed_) return false;
  if (shutdown_final_ && streams_.empty() && nghttp2_session_want_write(session_) == 0) {
    return false;
  }
  return nghttp2_session_want_read(session_) != 0 || nghttp2_session_want_write(session_) != 0;
}

bool Http2Connection::WantsInput() const {
  return nghttp2_session_get_outbound_queue_size(session_) < kMaxWaitingFrames ||
         PLANTED_BUG("transport_unread_answers_without_bound");
}

size_t Http2Connection::held_bytes() const {
  return nghttp2_session_get_outbound_queue_size(session_) * kWaitingFrameBytes;
}

bool Http2Connection::HasOutputRoom() const {
  return output_->size_bytes() < context_.options.output_queue_bytes ||
         PLANTED_BUG("transport_output_without_bound");
}

void Http2Connection::DeliverAfterSend() {
  if (after_send_.empty()) return;
  const std::vector<int32_t> ids = std::exchange(after_send_, {});
  for (const int32_t id : ids) {
    const auto stream = streams_.find(id);
    if (stream == streams_.end()) continue;
    const std::shared_ptr<Http2Stream> keep = stream->second;
    keep->OnSent();
  }
}

void Http2Connection::ResumeWaiting() {
  const absl::btree_set<int32_t> ids = std::exchange(waiting_, {});
  for (const int32_t id : ids) {
    const auto stream = streams_.find(id);
    if (stream == streams_.end()) continue;
    const std::shared_ptr<Http2Stream> keep = stream->second;
    keep->OnMayResume();
  }
}

std::vector<std::shared_ptr<Http2Stream>> Http2Connection::Streams() const {
  std::vector<std::shared_ptr<Http2Stream>> streams;
  streams.reserve(streams_.size());
  for (const auto& [id, stream] : streams_) streams.push_back(stream);
  return streams;
}

void Http2Connection::OnMemoryShort() {
  for (const auto& stream : Streams()) stream->OnMemoryShort();
}

void Http2Connection::OnClosed() {
  if (!PLANTED_BUG("transport_timers_outlive_connections")) {
    connection_.loop().Cancel(keepalive_timer_);
    connection_.loop().Cancel(shutdown_timer_);
  }
  std::vector<std::shared_ptr<Http2Stream>> streams;
  for (auto& [id, stream] : streams_) streams.push_back(std::move(stream));
  streams_.clear();
  for (const auto& stream : streams) stream->OnClosed(NGHTTP2_CANCEL);
}

Http2Stream* Http2Connection::Find(int32_t stream_id) {
  return static_cast<Http2Stream*>(nghttp2_session_get_stream_user_data(session_, stream_id));
}

void Http2Connection::OnRequestHeaders(int32_t stream_id, bool end_stream) {
  connection_.NoteRequest();
  std::shared_ptr<Http2Stream> stream;
  if (head_.is_grpc || !connection_.traits().serves_http) {
    stream = GrpcCall::Start(*this, stream_id, head_);
  } else {
    stream = Http2Exchange::Start(*this, stream_id, std::move(head_));
  }
  if (stream == nullptr) return;  // already answered
  nghttp2_session_set_stream_user_data(session_, stream_id, stream.get());
  ShareOutput(stream_id);
  Http2Stream* raw = stream.get();
  streams_.emplace(stream_id, std::move(stream));
  if (end_stream) raw->OnInputEnd();
}

// Every stream has its turn (RFC 9218: incremental), or a long list would hold up all behind it.
void Http2Connection::ShareOutput(int32_t stream_id) {
  const nghttp2_extpri priority{.urgency = NGHTTP2_EXTPRI_DEFAULT_URGENCY, .inc = 1};
  nghttp2_session_change_extpri_stream_priority(session_, stream_id, &priority,
                                                /*ignore_client_signal=*/1);
}

// Each may change the windows of all streams.
bool Http2Connection::OnSettings() {
  if (settings_policy_.OnSettings(connection_.loop().now(), streams_.size()) ||
      PLANTED_BUG("transport_settings_without_bound")) {
    return true;
  }
  end_code_ = NGHTTP2_ENHANCE_YOUR_CALM;
  return false;
}

void Http2Connection::CountFault(uint32_t error_code) {
  switch (error_code) {
    case NGHTTP2_PROTOCOL_ERROR:
    case NGHTTP2_FLOW_CONTROL_ERROR:
    case NGHTTP2_STREAM_CLOSED:
    case NGHTTP2_FRAME_SIZE_ERROR:
      break;
    default:
      return;
  }
  if (++stream_faults_ != kMaxStreamFaults) return;
  failed_ = true;
  nghttp2_session_terminate_session(session_, NGHTTP2_ENHANCE_YOUR_CALM);
}

void Http2Connection::OnStreamClosed(int32_t stream_id, uint32_t error_code) {
  CountFault(error_code);
  const auto it = streams_.find(stream_id);
  if (it == streams_.end()) return;
  const std::shared_ptr<Http2Stream> stream = std::move(it->second);
  streams_.erase(it);
  stream->OnClosed(error_code);
}

void Http2Connection::OnPing() {
  if (failed_) return;
  if (ping_policy_.OnPing(connection_.loop().now(), !streams_.empty())) return;
  TLOG(kInfo, "closing connection of a client that pings too often",
       {{"remote-addr", connection_.peer().address}});
  static constexpr absl::string_view kReason = "too_many_pings";
  nghttp2_submit_goaway(
      session_, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session_),
      NGHTTP2_ENHANCE_YOUR_CALM, reinterpret_cast<const uint8_t*>(kReason.data()), kReason.size());
  failed_ = true;
}

void Http2Connection::OnPingAnswer() {
  ping_outstanding_ = false;
  if (shutting_down_) FinishShutdown();
}

void Http2Connection::Respond(int32_t stream_id, absl::Span<const nghttp2_nv> headers,
                              bool has_body) {
  const nghttp2_data_provider provider = Http2Callbacks::BodyOf(stream_id);
  nghttp2_submit_response(session_, stream_id, headers.data(), headers.size(),
                          has_body ? &provider : nullptr);
  connection_.MarkDirty();
}

void Http2Connection::SubmitTrailers(int32_t stream_id, absl::Span<const nghttp2_nv> trailers) {
  nghttp2_submit_trailer(session_, stream_id, trailers.data(), trailers.size());
}

void Http2Connection::ResumeOutput(int32_t stream_id) {
  nghttp2_session_resume_data(session_, stream_id);
  connection_.MarkDirty();
}

void Http2Connection::Reset(int32_t stream_id, uint32_t error_code) {
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream_id, error_code);
  connection_.MarkDirty();
}

void Http2Connection::Consume(int32_t stream_id, size_t byte_count) {
  nghttp2_session_consume(session_, stream_id, byte_count);
  connection_.MarkDirty();
}

void Http2Connection::ConsumeForConnection(size_t byte_count) {
  if (PLANTED_BUG("transport_leaks_connection_window")) return;
  nghttp2_session_consume_connection(session_, byte_count);
  connection_.MarkDirty();
}

void Http2Connection::RemoveUnsent(size_t byte_count) {
  CHECK(byte_count <= unsent_bytes_);
  unsent_bytes_ -= byte_count;
}

bool Http2Connection::HasUnsentRoom() const {
  return unsent_bytes_ <= context_.options.connection_unsent_high_bytes;
}

bool Http2Connection::AddAssembling(size_t byte_count) {
  assembling_bytes_ += byte_count;
  connection_.CountMemory(static_cast<int64_t>(byte_count));
  return assembling_bytes_ <= context_.options.max_assembling_bytes &&
         context_.HasMemory(/*essential=*/true);
}

void Http2Connection::RemoveAssembling(size_t byte_count) {
  CHECK(byte_count <= assembling_bytes_);
  assembling_bytes_ -= byte_count;
  connection_.CountMemory(-static_cast<int64_t>(byte_count));
}

ssize_t Http2Connection::ReadData(int32_t stream_id, size_t max_bytes, uint32_t* data_flags) {
  Http2Stream* stream = Find(stream_id);
  if (stream == nullptr) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  const Http2Stream::Ready ready = stream->PeekOutput(max_bytes);
  if (ready.byte_count == 0 && !ready.last) return NGHTTP2_ERR_DEFERRED;
  *data_flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  if (ready.last) {
    *data_flags |= NGHTTP2_DATA_FLAG_EOF;
    if (stream->SubmitTrailers()) *data_flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
  }
  return static_cast<ssize_t>(ready.byte_count);
}

void Http2Connection::SendData(int32_t stream_id, const uint8_t* frame_head, size_t byte_count) {
  CHECK(output_ != nullptr);
  output_->AppendCopy(absl::string_view(reinterpret_cast<const char*>(frame_head), 9));
  if (byte_count > 0) Find(stream_id)->TakeOutput(byte_count, *output_);
}

// We answered in full while the client is still sending: it may stop (RFC 9113, section 8.1).
void Http2Connection::EndUnfinishedRequest(int32_t stream_id) {
  if (nghttp2_session_get_stream_remote_close(session_, stream_id) == 0) {
    Reset(stream_id, NGHTTP2_NO_ERROR);
  }
}

void Http2Connection::ScheduleKeepalive() { ScheduleKeepaliveAfter(last_input_); }

void Http2Connection::ScheduleKeepaliveAfter(absl::Duration from) {
  const KeepaliveOptions& keepalive = context_.options.keepalive;
  if (keepalive.interval <= absl::ZeroDuration()) return;
  keepalive_timer_ = connection_.CallAt(from + keepalive.interval, [this] { OnKeepaliveTimer(); });
}

void Http2Connection::OnKeepaliveTimer() {
  const KeepaliveOptions& keepalive = context_.options.keepalive;
  if (failed_) return;
  if (connection_.loop().now() < last_input_ + keepalive.interval) return ScheduleKeepalive();
  ping_outstanding_ = true;
  nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr);
  connection_.MarkDirty();
  const absl::Duration asked = connection_.loop().now();
  if (keepalive.timeout <= absl::ZeroDuration()) return ScheduleKeepaliveAfter(asked);
  keepalive_timer_ = connection_.CallAt(asked + keepalive.timeout, [this, asked] {
    if (ping_outstanding_ && last_input_ <= asked) return connection_.Close();
    ScheduleKeepalive();
  });
}

void Http2Connection::BeginShutdown() {
  if (shutting_down_) return;
  shutting_down_ = true;
  // Calls already on their way are still taken; after the ping's answer none can be.
  nghttp2_submit_shutdown_notice(session_);
  nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, kShutdownPing);
  for (const auto& stream : Streams()) stream->OnShutdown();
  shutdown_timer_ = connection_.CallAt(connection_.loop().now() + kShutdownPatience, [this] {
    FinishShutdown();
    bool is_needed = false;
    for (const auto& stream : Streams()) is_needed |= !stream->OnCutOff();
    // A client that takes nothing does not take resets either.
    if (!is_needed) connection_.CloseIfStuck(kShutdownPatience);
  });
  connection_.MarkDirty();
}

void Http2Connection::FinishShutdown() {
  if (shutdown_final_) return;
  shutdown_final_ = true;
  nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE,
                        nghttp2_session_get_last_proc_stream_id(session_), NGHTTP2_NO_ERROR,
                        nullptr, 0);
  connection_.MarkDirty();
}

}  // namespace tidemark::server
