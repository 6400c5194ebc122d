#include "src/server/transport/grpc_call.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "src/base/failpoint.h"
#include "src/base/release.h"
#include "src/server/transport/grpc_response.h"
#include "src/server/transport/http2_connection.h"

namespace tidemark::server {
namespace {

// The call, its stream and its handler, besides its metadata; what a request becomes when it is
// decoded.
constexpr int64_t kCallBytes = 2 << 10;
constexpr int64_t kDecodedPart = 2;
// Output that waits longer is copied, so that nothing larger has to be kept for it, or, when there
// is more, the call is cut off.
constexpr absl::Duration kReferredOutputTime = absl::Seconds(1);
constexpr size_t kCopiedOutputBytes = 64 << 10;

absl::Status UnknownMethod(const TransportContext& context, absl::string_view path) {
  const size_t slash = path.rfind('/');
  if (path.empty() || path[0] != '/' || slash == 0 || slash == absl::string_view::npos) {
    return absl::UnimplementedError(absl::StrCat("malformed method name: \"", path, "\""));
  }
  const std::string service(path.substr(1, slash - 1));
  if (!context.services.contains(service)) {
    return absl::UnimplementedError(absl::StrCat("unknown service ", service));
  }
  return absl::UnimplementedError(
      absl::StrCat("unknown method ", path.substr(slash + 1), " for service ", service));
}

// What can be refused before any handler sees the call.
absl::Status CheckHead(const TransportContext& context, const RequestHead& head) {
  if (head.size_bytes > context.options.max_metadata_bytes) {
    return absl::ResourceExhaustedError(absl::StrCat("received metadata larger than max (",
                                                     head.size_bytes, " vs. ",
                                                     context.options.max_metadata_bytes, ")"));
  }
  if (!head.timeout.empty() && !ParseGrpcTimeout(head.timeout).has_value()) {
    return absl::InternalError(absl::StrCat("malformed grpc-timeout: \"", head.timeout, "\""));
  }
  if (head.malformed_binary) return absl::InternalError("malformed binary metadata");
  return absl::OkStatus();
}

absl::Status CheckEncoding(absl::string_view encoding) {
  if (encoding.empty() || encoding == "identity") return absl::OkStatus();
  return absl::UnimplementedError(
      absl::StrCat("grpc: Decompressor is not installed for grpc-encoding \"", encoding, "\""));
}

// To let go of a long list takes tens of milliseconds: the others have their turn in between.
void DropInSteps(EventLoop& loop, std::shared_ptr<GrpcOutput> output) {
  loop.Post([&loop, output = std::move(output)]() mutable {
    if (output->DropPiece()) DropInSteps(loop, std::move(output));
  });
}

}  // namespace

std::shared_ptr<GrpcCall> GrpcCall::Start(Http2Connection& connection, uint32_t stream_id,
                                          RequestHead& head) {
  TransportContext& context = connection.connection().context();
  if (!head.is_grpc || !connection.connection().traits().serves_grpc) {
    RespondWithHttpStatus(connection, stream_id, "415");
    return nullptr;
  }
  if (head.method != "POST") {
    RespondWithHttpStatus(connection, stream_id, "405");
    return nullptr;
  }
  absl::Status refused = CheckHead(context, head);
  if (refused.ok() && head.known_method == nullptr) refused = UnknownMethod(context, head.path());
  if (refused.ok()) refused = CheckEncoding(head.encoding);
  if (refused.ok() && !context.HasMemory(head.known_method->essential)) {
    context.budget->CountRefusal(MemoryAccount::kConnections);
    refused = context.options.busy;
  }
  if (refused.ok() && head.known_method->lasting && context.shutting_down) {
    refused = context.options.stopped;
  }
  if (!refused.ok()) {
    RespondWithStatusOnly(connection, stream_id, refused);
    return nullptr;
  }
  absl::Duration deadline = absl::InfiniteDuration();
  if (!head.timeout.empty()) {
    deadline = connection.connection().loop().now() + *ParseGrpcTimeout(head.timeout);
  }
  auto call = std::make_shared<GrpcCall>(connection, stream_id, *head.known_method,
                                         std::move(head.metadata), deadline);
  call->CountMemory(kCallBytes + static_cast<int64_t>(head.size_bytes));
  call->Begin();
  return call;
}

GrpcCall::GrpcCall(Http2Connection& connection, uint32_t stream_id, const Method& method,
                   Metadata metadata, absl::Duration deadline)
    : connection_(&connection),
      loop_(connection.connection().loop()),
      context_(connection.connection().context()),
      stream_id_(stream_id),
      method_(method),
      metadata_(std::move(metadata)),
      peer_(connection.connection().shared_peer()),
      deadline_(deadline),
      started_(loop_.now()),
      reader_(context_.options.max_receive_message_bytes) {}

GrpcCall::~GrpcCall() { CHECK(handler_ == nullptr); }

void GrpcCall::CountMemory(int64_t bytes) {
  counted_bytes_ += bytes;
  connection_->connection().CountMemory(bytes);
}

void GrpcCall::Begin() {
  if (method_.observer != nullptr) method_.observer->OnStarted();
  ArmDeadline();
  handler_ = method_.start(shared_from_this());
  CHECK(handler_ != nullptr);
}

// Aliases the call itself: no allocation per call.
std::shared_ptr<const std::atomic<bool>> GrpcCall::cancelled() const {
  return std::shared_ptr<const std::atomic<bool>>(shared_from_this(), &cancelled_);
}

// ---- from any thread --------------------------------------------------------------------------

void GrpcCall::Send(OutgoingMessage&& message) {
  if (loop_.IsCurrent()) return SendNow(std::move(message));
  HandOver({std::move(message), absl::OkStatus(), false});
}

void GrpcCall::Finish(absl::Status status) {
  if (loop_.IsCurrent()) return FinishNow(std::move(status));
  HandOver({ByteChain(), std::move(status), true});
}

void GrpcCall::HandOver(HandedOver item) {
  {
    MutexLock lock(&mutex_);
    handed_over_.push_back(std::move(item));
    if (posted_) return;
    posted_ = true;
  }
  loop_.Post([self = shared_from_this()] { static_cast<GrpcCall&>(*self).RunHandedOver(); });
}

void GrpcCall::RunHandedOver() {
  absl::InlinedVector<HandedOver, 2> items;
  {
    MutexLock lock(&mutex_);
    items.swap(handed_over_);
    posted_ = false;
  }
  for (HandedOver& item : items) {
    if (item.finishes) {
      FinishNow(std::move(item.status));
    } else {
      SendNow(std::move(item.message));
    }
  }
}

// ---- output -----------------------------------------------------------------------------------

void GrpcCall::SendNow(OutgoingMessage&& message) {
  if (finished_ || connection_ == nullptr) return;
  if (message.size_bytes() > INT32_MAX) {
    return FinishNow(absl::ResourceExhaustedError("grpc: trying to send message larger than max"));
  }
  if (method_.observer != nullptr) method_.observer->OnMessageSent();
  connection_->AddUnsent(kGrpcPrefixBytes + message.size_bytes());
  if (output_.empty()) {
    output_since_ = loop_.now();
    output_taken_bytes_ = 0;
  }
  output_.Add(std::move(message));
  if (output_.size_bytes() > context_.options.unsent_low_bytes) was_high_ = true;
  Wake();
}

void GrpcCall::FinishNow(absl::Status status) {
  if (finished_ || connection_ == nullptr) return;
  finished_ = true;
  status_ = std::move(status);
  if (responded_ || !output_.empty()) return Wake();
  responded_ = true;
  RespondWithStatusOnly(*connection_, stream_id_, status_);
}

void GrpcCall::Wake() {
  if (!responded_) {
    responded_ = true;
    RespondWithHeaders(*connection_, stream_id_);
  } else if (deferred_) {
    deferred_ = false;
    connection_->ResumeOutput(stream_id_);
  }
}

http2::Stream::Ready GrpcCall::PeekOutput(size_t max_bytes) {
  const size_t n = std::min(max_bytes, output_.size_bytes());
  const bool all = n == output_.size_bytes() || PLANTED_BUG("transport_trailers_overtake_data");
  if (n == 0 && !finished_) deferred_ = true;
  return {n, finished_ && all};
}

void GrpcCall::TakeOutput(size_t byte_count, OutputQueue& queue) {
  output_.Take(byte_count, queue);
  output_taken_bytes_ += byte_count;
  connection_->RemoveUnsent(byte_count);
  if (HasDrained() || notifies_when_taken_) connection_->NotifyAfterSend(stream_id_);
}

bool GrpcCall::SubmitTrailers() {
  SubmitStatusTrailers(*connection_, stream_id_, status_);
  return true;
}

bool GrpcCall::HasDrained() const {
  return was_high_ && output_.size_bytes() < context_.options.unsent_low_bytes;
}

void GrpcCall::OnSent() {
  const bool drained = HasDrained();
  if (!std::exchange(notifies_when_taken_, false) && !drained) return;
  if (drained) {
    was_high_ = false;
    OnMayResume();
  }
  if (handler_ != nullptr && !finished_) handler_->OnDrained();
}

void GrpcCall::SetTimeLimit(absl::Duration when) {
  time_limit_ = when;
  ArmDeadline();
}

void GrpcCall::ArmDeadline() {
  if (connection_ == nullptr) return;
  loop_.deadlines().Set(*this, deadline_passed_ ? time_limit_ : std::min(deadline_, time_limit_));
}

void GrpcCall::OnDeadline() {
  const auto self = shared_from_this();
  if (!deadline_passed_ && deadline_ <= loop_.now()) {
    deadline_passed_ = true;
    OnClientsDeadline();
  } else {
    time_limit_ = absl::InfiniteDuration();
    if (!finished_) handler_->OnTimeLimit();
  }
  ArmDeadline();
}

void GrpcCall::OnClientsDeadline() {
  if (finished_) return;
  cancelled_.store(true);
  if (!output_.empty()) {
    // The client does not read: no trailers would ever reach it.
    finished_ = cut_off_ = true;
    status_ = absl::DeadlineExceededError("context deadline exceeded");
    return connection_->Reset(stream_id_, http2::ErrorCode::kCancel);
  }
  FinishNow(absl::DeadlineExceededError("context deadline exceeded"));
}

void GrpcCall::OnMemoryShort() {
  if (connection_ == nullptr || output_.empty()) return;
  if (cut_off_) return connection_->connection().CloseIfStuck(context_.options.slow_answer_time);
  const absl::Duration waits = loop_.now() - output_since_;
  if (waits < kReferredOutputTime) return;
  // A stream's output is bounded by its credit, and counted where that is given.
  if (IsBidi() || output_.size_bytes() <= kCopiedOutputBytes) return output_.OwnAll();
  const TransportOptions& options = context_.options;
  const double least_bytes =
      absl::ToDoubleSeconds(waits) * static_cast<double>(options.slow_answer_bytes_per_second);
  if (waits < options.slow_answer_time || output_taken_bytes_ >= least_bytes) return;
  context_.budget->CountRefusal(MemoryAccount::kReads);
  cancelled_.store(true);
  finished_ = cut_off_ = true;
  status_ = context_.options.busy;
  connection_->Reset(stream_id_, http2::ErrorCode::kEnhanceYourCalm);
}

void GrpcCall::OnShutdown() {
  if (PLANTED_BUG("transport_shutdown_waits_for_streams")) return;
  if (!method_.lasting) return;
  cancelled_.store(true);  // the handler need not go on
  FinishNow(context_.options.stopped);
}

// Clients take this code for "unavailable".
bool GrpcCall::OnCutOff() {
  if (!method_.lasting || PLANTED_BUG("transport_shutdown_waits_for_slow_streams")) return false;
  finished_ = cut_off_ = true;
  connection_->Reset(stream_id_, http2::ErrorCode::kRefusedStream);
  return true;
}

// ---- input ------------------------------------------------------------------------------------

bool GrpcCall::OutputIsHigh() const {
  return output_.size_bytes() > context_.options.unsent_high_bytes;
}

bool GrpcCall::MustWait() const { return OutputIsHigh() || !connection_->HasUnsentRoom(); }

void GrpcCall::OnData(absl::string_view bytes) {
  if (input_refused_) return connection_->Consume(stream_id_, bytes.size());
  if (waiting_ || MustWait()) return Hold(bytes);
  Consume(bytes);
}

void GrpcCall::Hold(absl::string_view bytes) {
  held_input_.append(bytes.data(), bytes.size());  // at most one stream window
  CountMemory(static_cast<int64_t>(bytes.size()));
  // With much output of its own, OnSent will resume it.
  if (!waiting_ && !OutputIsHigh()) connection_->WaitForRoom(stream_id_);
  waiting_ = true;
}

void GrpcCall::Consume(absl::string_view bytes) {
  const size_t offered = bytes.size();
  absl::Status status =
      reader_.Add(bytes, [this](absl::string_view message) { return OnMessage(message); });
  // The answer to one of several messages may be all that the client can take for now.
  if (!bytes.empty() && status.ok() && !input_refused_) Hold(bytes);
  connection_->Consume(stream_id_, offered - (waiting_ ? bytes.size() : 0));
  const size_t held = input_refused_ ? 0 : reader_.held_bytes();
  bool fits = true;
  if (held > assembling_bytes_) fits = connection_->AddAssembling(held - assembling_bytes_);
  if (held < assembling_bytes_) connection_->RemoveAssembling(assembling_bytes_ - held);
  assembling_bytes_ = held;
  if (status.ok() && !fits) {
    status = absl::ResourceExhaustedError("grpc: too many incomplete messages on one connection");
  }
  if (status.ok()) return;
  input_refused_ = true;
  reader_.Clear();
  FinishNow(std::move(status));
}

// True to go on.
bool GrpcCall::OnMessage(absl::string_view message) {
  if (!finished_ && got_message_ && !IsBidi()) {
    FinishNow(absl::InternalError(
        "cardinality violation: received multiple request messages for non-client-streaming RPC"));
  }
  if (finished_) {
    input_refused_ = true;
    return false;
  }
  got_message_ = true;
  if (!IsBidi()) CountMemory(kDecodedPart * static_cast<int64_t>(message.size()));
  if (method_.observer != nullptr) method_.observer->OnMessageReceived();
  handler_->OnMessage(message);
  return !MustWait();
}

void GrpcCall::OnInputEnd() {
  input_ended_ = true;
  if (!waiting_) DeliverInputEnd();
}

void GrpcCall::DeliverInputEnd() {
  if (input_end_delivered_ || finished_) return;
  input_end_delivered_ = true;
  if (reader_.held_bytes() > 0) return FinishNow(absl::InternalError("unexpected EOF"));
  if (!got_message_ && !IsBidi()) {
    return FinishNow(absl::InternalError(
        "cardinality violation: received no request message from non-client-streaming RPC"));
  }
  handler_->OnHalfClose();
}

void GrpcCall::OnMayResume() {
  if (!waiting_ || OutputIsHigh()) return;
  if (MustWait()) return connection_->WaitForRoom(stream_id_);
  waiting_ = false;
  const std::string bytes = std::exchange(held_input_, std::string());
  CountMemory(-static_cast<int64_t>(bytes.size()));
  if (!bytes.empty()) Consume(bytes);
  if (input_ended_ && !waiting_) DeliverInputEnd();
}

// ---- the end ----------------------------------------------------------------------------------

void GrpcCall::OnClosed(http2::ErrorCode code) {
  const bool broken = !finished_ || code != http2::ErrorCode::kNone;
  if (broken && !PLANTED_BUG("transport_forgets_to_cancel")) cancelled_.store(true);
  loop_.deadlines().Set(*this, absl::InfiniteDuration());
  CountMemory(-counted_bytes_);
  connection_->RemoveUnsent(output_.size_bytes());
  if (output_.DropPiece()) DropInSteps(loop_, std::make_shared<GrpcOutput>(std::move(output_)));
  connection_->RemoveAssembling(assembling_bytes_);
  if (!held_input_.empty()) connection_->ConsumeForConnection(held_input_.size());
  reader_.Clear();
  Release(held_input_);
  connection_ = nullptr;
  if (method_.observer != nullptr) {
    const auto status = finished_ ? status_.code() : absl::StatusCode::kCancelled;
    method_.observer->OnHandled(status, loop_.now() - started_);
  }
  const std::unique_ptr<CallHandler> handler = std::move(handler_);
  if (code != http2::ErrorCode::kNone && PLANTED_BUG("transport_done_is_lost_on_reset")) return;
  handler->OnDone();
}

}  // namespace tidemark::server
