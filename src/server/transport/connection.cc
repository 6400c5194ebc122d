#include "src/server/transport/connection.h"

#include <sys/epoll.h>

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "src/base/failpoint.h"
#include "src/base/log.h"
#include "src/server/http2/frame.h"
#include "src/server/transport/http1_connection.h"
#include "src/server/transport/http2_connection.h"

namespace tidemark::server {
namespace {

constexpr char kTlsHandshakeByte = 0x16;
constexpr absl::Duration kLingerTime = absl::Seconds(1);
constexpr size_t kLingerBytes = 8 << 20;
// For the last output of a client that does not read.
constexpr absl::Duration kLastOutputTime = absl::Seconds(10);
// One connection does not keep the loop longer than this before the others have their turn.
constexpr size_t kWrittenPerTurnBytes = 64 << 10;
constexpr int kReadsPerTurn = 4;
// A turn that wrote no more is nobody's burden.
constexpr size_t kWrittenForFreeBytes = 16 << 10;
// Shorter rests cost more than they give; in longer ones other answers of the connection would
// wait.
constexpr absl::Duration kShortestRest = absl::Microseconds(200);
constexpr absl::Duration kLongestRest = absl::Milliseconds(1);
// This object, its protocol's session and tables, and a block of output; the buffers of TLS.
constexpr int64_t kConnectionBytes = 32 << 10;
constexpr int64_t kTlsBytes = 48 << 10;
// Output that waits longer is copied, so that nothing larger has to be kept for it.
constexpr absl::Duration kReferredOutputTime = absl::Seconds(1);

}  // namespace

int64_t Connection::OwnBytes(const ListenerTraits& traits) {
  return kConnectionBytes + (traits.tls != nullptr ? kTlsBytes : 0);
}

Connection::Connection(const Wiring& wiring, Accepted accepted,
                       std::function<void(Connection*)> on_closed)
    : context_(wiring.context),
      traits_(wiring.traits),
      loop_(wiring.loop),
      memory_(wiring.memory),
      pacer_(wiring.pacer),
      on_closed_(std::move(on_closed)),
      socket_(std::move(accepted.socket)),
      own_charge_(std::move(accepted.charge)) {
  peer_->address = std::move(accepted.peer_address);
}

Connection::~Connection() { CHECK(state_ == State::kClosed); }

void Connection::Start() {
  last_input_ = loop_.now();
  phase_timer_ = CallAt(loop_.now() + context_.options.handshake_timeout, [this] {
    if (state_ == State::kHandshake) return RejectHandshake("handshake timed out");
    Close();
  });
  if (traits_.tls == nullptr) state_ = State::kFirstBytes;
  events_ = EPOLLIN;
  loop_.Watch(socket_->fd(), events_, this);
}

TimerId Connection::CallAt(absl::Duration when, std::function<void()> task) {
  return loop_.PostAt(when, [weak = weak_from_this(), task = std::move(task)] {
    const std::shared_ptr<Connection> self = weak.lock();
    if (self != nullptr && self->state_ != State::kClosed) task();
  });
}

void Connection::OnReady(uint32_t epoll_events) {
  switch (state_) {
    case State::kFirstByte:
      return StepFirstByte();
    case State::kHandshake:
      return StepHandshake();
    case State::kFirstBytes:
    case State::kOpen:
      // Reported even while not asked for: without reading it would be reported for ever.
      if ((epoll_events & (EPOLLERR | EPOLLHUP)) != 0 && (events_ & EPOLLIN) == 0) return Close();
      write_blocked_ = false;
      ReadInput();
      return MarkDirty();
    case State::kLingering:
      return DropInput();
    case State::kClosed:
      return;
  }
}

std::optional<absl::Duration> Connection::idle_since() const {
  if (protocol_ != nullptr && (!protocol_->IsIdle() || has_output())) return std::nullopt;
  return last_input_;
}

void Connection::StepFirstByte() {
  char first = 0;
  const IoResult peeked = socket_->Peek(absl::MakeSpan(&first, 1));
  if (peeked.state == IoState::kWouldBlock) return;
  if (peeked.state != IoState::kDone) return Close();
  if (first != kTlsHandshakeByte) {
    if (!traits_.plaintext)
      return RejectHandshake("first record does not look like a TLS handshake");
    state_ = State::kFirstBytes;
    return OnReady(EPOLLIN);
  }
  tls_context_ = traits_.tls->Current();
  auto tls = std::make_unique<TlsSocket>(socket_->Release(), tls_context_.get());
  tls_ = tls.get();
  socket_ = std::move(tls);
  peer_->tls = true;
  state_ = State::kHandshake;
  StepHandshake();
}

void Connection::StepHandshake() {
  switch (tls_->Handshake()) {
    case IoState::kDone:
      break;
    case IoState::kWouldBlock:
      write_blocked_ = tls_->wants_write();
      return UpdateEvents();
    case IoState::kClosed:
    case IoState::kFailed:
      return RejectHandshake(tls_->error());
  }
  const absl::Status allowed = traits_.tls->CheckPeer(tls_->ssl());
  if (!allowed.ok()) return RejectHandshake(allowed.message());
  peer_->common_name = traits_.tls->CommonName(tls_->ssl());
  write_blocked_ = false;
  state_ = State::kFirstBytes;
  UpdateEvents();
  OnReady(EPOLLIN);
}

void Connection::RejectHandshake(absl::string_view error) {
  TLOG(kWarn, "rejected connection on client endpoint",
       {{"remote-addr", peer_->address}, {"server-name", ""}, {"error", error}});
  Close();
}

void Connection::ReadInput() {
  for (int i = 0; i < kReadsPerTurn; ++i) {
    if (ending_ || input_ended_ || state_ == State::kClosed) return;
    if (protocol_ != nullptr && !protocol_->WantsInput()) return;
    const absl::Span<char> buffer = loop_.read_buffer();
    const IoResult read = socket_->Read(buffer);
    switch (read.state) {
      case IoState::kDone:
        if (context_.traffic != nullptr) context_.traffic->OnBytes(read.byte_count, 0);
        last_input_ = loop_.now();
        if (!Deliver(absl::string_view(buffer.data(), read.byte_count))) ending_ = true;
        break;
      case IoState::kWouldBlock:
        return;
      case IoState::kClosed:
        if (protocol_ == nullptr || !protocol_->OnInputEnd()) return Close();
        input_ended_ = true;
        return;
      case IoState::kFailed:
        return Close();
    }
    if (read.byte_count < buffer.size() && !socket_->HasBufferedInput()) return;
  }
}

bool Connection::Deliver(absl::string_view bytes) {
  if (protocol_ != nullptr) return protocol_->OnInput(bytes);
  first_bytes_.append(bytes.data(), bytes.size());
  if (!ChooseProtocol(first_bytes_)) return false;
  if (protocol_ == nullptr) return true;  // not enough bytes yet
  loop_.Cancel(phase_timer_);
  state_ = State::kOpen;
  if (shutting_down_) protocol_->BeginShutdown();
  const std::string all = std::move(first_bytes_);
  return protocol_->OnInput(all);
}

// False: neither HTTP/2 nor anything served here.
bool Connection::ChooseProtocol(absl::string_view bytes) {
  const size_t n = std::min(bytes.size(), http2::kClientPreface.size());
  const bool agreed_http2 = tls_ != nullptr && tls_->Protocol() == "h2";
  // Without gRPC and TLS there is no reason for HTTP/2.
  const bool may_be_http2 = traits_.serves_grpc || agreed_http2;
  if (may_be_http2 && bytes.substr(0, n) == http2::kClientPreface.substr(0, n)) {
    if (n < http2::kClientPreface.size()) return true;
    protocol_ = std::make_unique<Http2Connection>(*this);
    return true;
  }
  if (agreed_http2 || !traits_.serves_http) return false;
  protocol_ = std::make_unique<Http1Connection>(*this);
  return true;
}

void Connection::DropInput() {
  while (true) {
    const IoResult read = socket_->Read(loop_.read_buffer());
    if (read.state == IoState::kWouldBlock) return;
    if (read.state != IoState::kDone) return Close();
    dropped_bytes_ += read.byte_count;
    if (dropped_bytes_ > kLingerBytes) return Close();
  }
}

void Connection::MarkDirty() {
  if (dirty_ || state_ == State::kClosed) return;
  dirty_ = true;
  loop_.AtTurnEnd(shared_from_this());
}

void Connection::OnTurnEnd() {
  dirty_ = false;
  if (state_ != State::kOpen && state_ != State::kFirstBytes) return;
  if (!write_blocked_ && (!rests_ || ending_)) WriteOutput();
  if (state_ == State::kClosed) return;
  if (ending_ && output_.empty() && !dirty_) return EndInOrder();
  if (ending_ && !std::exchange(end_timer_armed_, true)) {
    CallAt(loop_.now() + kLastOutputTime, [this] { Close(); });
  }
  // TLS may hold input that epoll knows nothing about.
  if (!ending_ && !input_ended_ && socket_->HasBufferedInput() &&
      (protocol_ == nullptr || protocol_->WantsInput())) {
    ReadInput();
    if (state_ == State::kClosed) return;
    MarkDirty();
  }
  CountQueues();
  UpdateEvents();
}

void Connection::CountQueues() {
  const size_t held = output_.size_bytes() + (protocol_ != nullptr ? protocol_->held_bytes() : 0);
  memory_.Add(static_cast<int64_t>(held) - queued_bytes_);
  queued_bytes_ = static_cast<int64_t>(held);
}

void Connection::OnMemoryShort() {
  if (state_ != State::kOpen) return;
  if (!output_.empty() && loop_.now() - last_taken_ >= kReferredOutputTime) output_.OwnAll();
  protocol_->OnMemoryShort();
}

void Connection::CloseIfStuck(absl::Duration too_long) {
  if (output_.empty() || PLANTED_BUG("transport_stuck_connection_is_kept")) return;
  if (loop_.now() - last_taken_ >= too_long) Close();
}

void Connection::WriteOutput() {
  if (output_.empty()) last_taken_ = loop_.now();
  const bool shares_loop = pacer_.OthersAreActive(this, loop_.now());
  const absl::Duration begun = shares_loop ? loop_.clock().Monotonic() : absl::ZeroDuration();
  size_t written_bytes = 0;
  while (state_ == State::kOpen) {
    if (!protocol_->FillOutput(output_)) ending_ = true;
    if (output_.empty()) break;
    const IoResult written = socket_->Write(output_);
    written_bytes += written.byte_count;
    if (written.byte_count > 0) last_taken_ = loop_.now();
    if (written.state == IoState::kFailed || written.state == IoState::kClosed) return Close();
    if (written.state == IoState::kWouldBlock) {
      write_blocked_ = true;
      break;
    }
    if (written_bytes > kWrittenPerTurnBytes) {
      MarkDirty();
      break;
    }
  }
  if (written_bytes > 0 && context_.traffic != nullptr) {
    context_.traffic->OnBytes(0, written_bytes);
  }
  if (written_bytes <= kWrittenForFreeBytes) return;
  if (shares_loop) ChargeWriting(begun, loop_.clock().Monotonic());
  if (!shares_loop) wrote_long_until_ = loop_.now();
}

void Connection::NoteRequest() {
  const bool is_long_writer = loop_.now() - wrote_long_until_ <= OutputPacer::kActiveTime;
  if (!is_long_writer) pacer_.NoteRequest(this, loop_.now());
}

// Whoever writes less than half of the time owes nothing.
void Connection::ChargeWriting(absl::Duration begun, absl::Duration ended) {
  const absl::Duration rested = begun - wrote_long_until_;
  const absl::Duration left = std::max(rest_owed_ - rested, absl::ZeroDuration());
  rest_owed_ = std::min(left + (ended - begun), kLongestRest);
  wrote_long_until_ = ended;
  if (!ending_ && rest_owed_ >= std::max(kShortestRest, loop_.shortest_wait())) Rest();
}

void Connection::Rest() {
  rests_ = true;
  context_.output_rests.fetch_add(1, std::memory_order_relaxed);
  loop_.deadlines().Set(*this, loop_.clock().Monotonic() + rest_owed_);
  rest_owed_ = absl::ZeroDuration();
}

void Connection::OnDeadline() {
  if (PLANTED_BUG("transport_rest_never_ends")) return;
  rests_ = false;
  MarkDirty();
}

void Connection::EndInOrder() {
  socket_->CloseWrite();
  state_ = State::kLingering;
  loop_.Cancel(phase_timer_);
  phase_timer_ = CallAt(loop_.now() + kLingerTime, [this] { Close(); });
  if (protocol_ != nullptr) protocol_->OnClosed();
  UpdateEvents();
  DropInput();
}

void Connection::UpdateEvents() {
  if (state_ == State::kClosed) return;
  uint32_t wanted = 0;
  if (write_blocked_) wanted |= EPOLLOUT;
  const bool reads =
      state_ == State::kLingering ||
      (!ending_ && !input_ended_ && (protocol_ == nullptr || protocol_->WantsInput()));
  if (reads) wanted |= EPOLLIN;
  if (wanted == events_) return;
  events_ = wanted;
  loop_.Change(socket_->fd(), wanted);
}

void Connection::BeginShutdown() {
  if (shutting_down_ || state_ == State::kClosed) return;
  shutting_down_ = true;
  if (protocol_ == nullptr) return Close();
  if (state_ != State::kOpen) return;
  protocol_->BeginShutdown();
  MarkDirty();
}

void Connection::Close() {
  if (state_ == State::kClosed) return;
  const bool told = state_ == State::kLingering;
  state_ = State::kClosed;
  loop_.Cancel(phase_timer_);
  loop_.deadlines().Set(*this, absl::InfiniteDuration());
  loop_.Unwatch(socket_->fd());
  if (protocol_ != nullptr && !told) protocol_->OnClosed();
  // Callers up the stack, and the turn's end, may still touch this object.
  loop_.ReleaseLater(shared_from_this());
  socket_.reset();
  tls_ = nullptr;
  memory_.Add(-queued_bytes_);
  on_closed_(this);
}

}  // namespace tidemark::server
