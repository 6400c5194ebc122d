#include "src/server/transport/http2_connection.h"

#include <limits>
#include <utility>

#include "src/base/failpoint.h"
#include "src/base/log.h"
#include "src/server/transport/grpc_call.h"
#include "src/server/transport/http2_exchange.h"

namespace tidemark::server {
namespace {

constexpr absl::string_view kKeepalivePing("\0\0\0\0\0\0\0\0", 8);
constexpr absl::string_view kShutdownPing = "shutdown";
// For the answer to that ping, and for lasting calls' last bytes.
constexpr absl::Duration kShutdownPatience = absl::Seconds(1);
// Legitimate clients cancel thousands of calls at once when they give up on a server.
constexpr Allowance::Limits kResets{.burst = 20000, .per_second = 2000};
// Clients send one SETTINGS, and some adjust their windows a few times a second while they measure
// the way. Each may change the windows of all streams, so it costs more the more there are.
constexpr Allowance::Limits kSettings{.burst = 100, .per_second = 20};
constexpr double kStreamsThatDoubleSettings = 1000;
// Frames that wait for the client to read: refusals, resets, heads of answers. Beyond, it is not
// read either, so what one read brings is all that can be added.
constexpr size_t kMaxWaitingFrames = 10000;
constexpr size_t kMaxWaitingBytes = 1 << 20;
constexpr size_t kStuckBytes = 64 << 10;
// RFC 9113, section 6.5.2.
constexpr size_t kHeaderOverheadBytes = 32;

http2::SessionOptions SessionOptionsOf(const TransportOptions& options) {
  return {.max_concurrent_streams = options.max_concurrent_streams,
          .stream_window_bytes = options.stream_window_bytes,
          .connection_window_bytes = options.connection_window_bytes,
          .max_header_list_bytes = static_cast<uint32_t>(options.max_metadata_bytes)};
}

}  // namespace

Http2Connection::Http2Connection(Connection& connection)
    : connection_(connection),
      context_(connection.context()),
      session_(SessionOptionsOf(context_.options), *this),
      header_cache_(context_.method_by_path),
      ping_policy_(context_.options.keepalive.client_min_interval),
      resets_(kResets),
      settings_(kSettings),
      last_input_(connection.loop().now()) {
  ScheduleKeepalive();
}

bool Http2Connection::OnInput(absl::string_view bytes) {
  last_input_ = connection_.loop().now();
  connection_.MarkDirty();
  if (session_.Receive(bytes)) return true;
  TLOG(kDebug, "closing HTTP/2 connection",
       {{"remote-addr", connection_.peer().address}, {"error", session_.failure()}});
  return false;
}

bool Http2Connection::FillOutput(OutputQueue& queue) {
  size_t max_bytes = context_.options.output_queue_bytes;
  if (PLANTED_BUG("transport_output_without_bound")) max_bytes = std::numeric_limits<size_t>::max();
  session_.Fill(queue, max_bytes);
  if (std::exchange(answer_frames_, session_.answer_frames()) != session_.answer_frames()) {
    ping_policy_.OnSent();
  }
  DeliverAfterSend();
  if (!waiting_.empty() && HasUnsentRoom()) ResumeWaiting();
  return !session_.IsOver();
}

bool Http2Connection::WantsInput() const {
  return (session_.waiting_frames() < kMaxWaitingFrames &&
          session_.waiting_bytes() < kMaxWaitingBytes) ||
         PLANTED_BUG("transport_unread_answers_without_bound");
}

size_t Http2Connection::held_bytes() const { return session_.held_bytes(); }

void Http2Connection::DeliverAfterSend() {
  if (after_send_.empty()) return;
  for (const uint32_t id : std::exchange(after_send_, {})) {
    if (const auto stream = session_.Find(id)) stream->OnSent();
  }
}

void Http2Connection::ResumeWaiting() {
  for (const uint32_t id : std::exchange(waiting_, {})) {
    if (const auto stream = session_.Find(id)) stream->OnMayResume();
  }
}

void Http2Connection::OnMemoryShort() {
  // Not only streams hold something for a client that takes nothing.
  if (session_.waiting_bytes() > kStuckBytes) {
    connection_.CloseIfStuck(context_.options.slow_answer_time);
  }
  for (const auto& stream : session_.streams()) stream->OnMemoryShort();
}

void Http2Connection::OnClosed() {
  if (!PLANTED_BUG("transport_timers_outlive_connections")) {
    connection_.loop().Cancel(keepalive_timer_);
    connection_.loop().Cancel(shutdown_timer_);
  }
  session_.CloseAll();
}

// ---- what the client sends --------------------------------------------------------------------

void Http2Connection::OnBlockBegin(Block block) {
  block_ = block;
  head_.emplace();
  rules_.Begin(block == Block::kRequest ? HeaderRules::Block::kRequest
                                        : HeaderRules::Block::kTrailers);
}

bool Http2Connection::OnHeader(absl::string_view name, absl::string_view value,
                               http2::HeaderNote& note) {
  const size_t max_bytes = context_.options.max_metadata_bytes;
  head_->size_bytes += name.size() + value.size() + kHeaderOverheadBytes;
  // What is refused anyway is not looked at: a few bytes can stand for many.
  if (block_ != Block::kIgnored && head_->size_bytes <= max_bytes) {
    const HeaderField field = FieldOf(name, value, note);
    rules_.Add(field);
    if (block_ == Block::kRequest) head_->Add(field, name, value);
  }
  // HPACK needs the whole block, but not at any price.
  return head_->size_bytes <= 4 * max_bytes;
}

// A header in the client's table is understood once; others, by comparing them with the last few.
HeaderField Http2Connection::FieldOf(absl::string_view name, absl::string_view value,
                                     http2::HeaderNote& note) {
  if (note.kind != 0) return HeaderField::FromNote(note);
  const HeaderField field = header_cache_.Read(name, value);
  note = field.ToNote();
  return field;
}

std::shared_ptr<http2::Stream> Http2Connection::OnRequest(uint32_t stream_id) {
  connection_.NoteRequest();
  if (head_->is_grpc || !connection_.traits().serves_http) {
    return GrpcCall::Start(*this, stream_id, *head_);
  }
  return Http2Exchange::Start(*this, stream_id, *std::move(head_));
}

bool Http2Connection::OnReset() { return resets_.Take(connection_.loop().now()); }

bool Http2Connection::OnSettings() {
  const auto streams = static_cast<double>(session_.stream_count());
  return settings_.Take(connection_.loop().now(), 1 + streams / kStreamsThatDoubleSettings) ||
         PLANTED_BUG("transport_settings_without_bound");
}

bool Http2Connection::OnPing() {
  if (ping_policy_.OnPing(connection_.loop().now(), !IsIdle())) return true;
  TLOG(kInfo, "closing connection of a client that pings too often",
       {{"remote-addr", connection_.peer().address}});
  return false;
}

void Http2Connection::OnPingAnswer() {
  ping_outstanding_ = false;
  if (shutting_down_) FinishShutdown();
}

// ---- what streams ask for ---------------------------------------------------------------------

void Http2Connection::Respond(uint32_t stream_id, absl::Span<const http2::Header> headers,
                              bool has_body) {
  session_.Respond(stream_id, headers, has_body);
  connection_.MarkDirty();
}

void Http2Connection::SubmitTrailers(uint32_t stream_id, absl::Span<const http2::Header> trailers) {
  session_.Trailers(stream_id, trailers);
}

void Http2Connection::ResumeOutput(uint32_t stream_id) {
  session_.ResumeOutput(stream_id);
  connection_.MarkDirty();
}

void Http2Connection::Reset(uint32_t stream_id, http2::ErrorCode code) {
  session_.Reset(stream_id, code);
  connection_.MarkDirty();
}

void Http2Connection::Consume(uint32_t stream_id, size_t byte_count) {
  session_.Consume(stream_id, byte_count);
  connection_.MarkDirty();
}

void Http2Connection::ConsumeForConnection(size_t byte_count) {
  if (PLANTED_BUG("transport_leaks_connection_window")) return;
  session_.ConsumeForConnection(byte_count);
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

// ---- keep-alive and shutdown ------------------------------------------------------------------

void Http2Connection::ScheduleKeepalive() { ScheduleKeepaliveAfter(last_input_); }

void Http2Connection::ScheduleKeepaliveAfter(absl::Duration from) {
  const KeepaliveOptions& keepalive = context_.options.keepalive;
  if (keepalive.interval <= absl::ZeroDuration()) return;
  keepalive_timer_ = connection_.CallAt(from + keepalive.interval, [this] { OnKeepaliveTimer(); });
}

void Http2Connection::OnKeepaliveTimer() {
  const KeepaliveOptions& keepalive = context_.options.keepalive;
  if (session_.has_failed()) return;
  if (connection_.loop().now() < last_input_ + keepalive.interval) return ScheduleKeepalive();
  ping_outstanding_ = true;
  session_.Ping(kKeepalivePing);
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
  session_.AnnounceGoaway();
  session_.Ping(kShutdownPing);
  for (const auto& stream : session_.streams()) stream->OnShutdown();
  shutdown_timer_ = connection_.CallAt(connection_.loop().now() + kShutdownPatience, [this] {
    FinishShutdown();
    bool is_needed = false;
    for (const auto& stream : session_.streams()) is_needed |= !stream->OnCutOff();
    // A client that takes nothing does not take resets either.
    if (!is_needed) connection_.CloseIfStuck(kShutdownPatience);
  });
  connection_.MarkDirty();
}

void Http2Connection::FinishShutdown() {
  if (shutdown_final_) return;
  shutdown_final_ = true;
  session_.Goaway();
  connection_.MarkDirty();
}

}  // namespace tidemark::server
