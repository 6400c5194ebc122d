// One gRPC call on an HTTP/2 stream: message framing, deadline, cancellation, status.
//
// Hides gRPC's wire format and the hand-over from other threads. Send, Finish, cancelled and loop
// are thread-safe; the rest belongs to the loop.
//
// 1. The handler's OnDone comes exactly once, and nothing after it.
// 2. Trailers leave after every message given to Send before Finish.
// 3. While the client reads slowly its further requests wait in its own flow-control window.
// 4. Holds itself through its handler (which holds the call) until OnDone.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/inlined_vector.h"
#include "src/base/mutex.h"
#include "src/server/http2/stream.h"
#include "src/server/rpc.h"
#include "src/server/transport/context.h"
#include "src/server/transport/event_loop.h"
#include "src/server/transport/grpc_output.h"
#include "src/server/transport/grpc_wire.h"
#include "src/server/transport/request_head.h"

namespace tidemark::server {

class Http2Connection;

class GrpcCall final : public ServerCall, public http2::Stream, private DeadlineHeap::Entry {
 public:
  // Answers at once and returns nullptr when there is nothing to call.
  static std::shared_ptr<GrpcCall> Start(Http2Connection& connection, uint32_t stream_id,
                                         RequestHead& head);
  GrpcCall(Http2Connection& connection, uint32_t stream_id, const Method& method, Metadata metadata,
           absl::Duration deadline);
  ~GrpcCall() override;

  const std::string& method() const override { return method_.path; }
  const Metadata& metadata() const override { return metadata_; }
  const Peer& peer() const override { return *peer_; }
  absl::Duration deadline() const override { return deadline_; }
  Executor& loop() override { return loop_; }
  void Send(OutgoingMessage&& message) override;
  void Finish(absl::Status status) override;
  std::shared_ptr<const std::atomic<bool>> cancelled() const override;
  size_t unsent_bytes() const override { return output_.size_bytes(); }
  void NotifyWhenTaken() override { notifies_when_taken_ = true; }
  void SetTimeLimit(absl::Duration when) override;

  void OnData(absl::string_view bytes) override;
  void OnInputEnd() override;
  void OnMayResume() override;
  void OnSent() override;
  void OnMemoryShort() override;
  void OnShutdown() override;
  bool OnCutOff() override;
  void OnClosed(http2::ErrorCode code) override;
  Ready PeekOutput(size_t max_bytes) override;
  void TakeOutput(size_t byte_count, OutputQueue& queue) override;
  bool SubmitTrailers() override;

 private:
  struct HandedOver {
    OutgoingMessage message;
    absl::Status status;
    bool finishes = false;
  };

  void Begin();
  void HandOver(HandedOver item);
  void RunHandedOver();
  void SendNow(OutgoingMessage&& message);
  void FinishNow(absl::Status status);
  void ArmDeadline();
  void OnDeadline() override;
  void OnClientsDeadline();
  void Wake();
  bool HasDrained() const;
  bool OutputIsHigh() const;
  bool MustWait() const;
  void CountMemory(int64_t bytes);
  void Hold(absl::string_view bytes);
  void Consume(absl::string_view bytes);
  bool OnMessage(absl::string_view message);
  void DeliverInputEnd();
  bool IsBidi() const { return method_.kind == CallKind::kBidiStream; }

  Http2Connection* connection_;  // nullptr once the stream is closed
  EventLoop& loop_;
  TransportContext& context_;
  const uint32_t stream_id_;
  const Method& method_;
  const Metadata metadata_;
  const std::shared_ptr<const Peer> peer_;
  const absl::Duration deadline_;
  const absl::Duration started_;
  bool deadline_passed_ = false;
  absl::Duration time_limit_ = absl::InfiniteDuration();  // the handler's
  std::unique_ptr<CallHandler> handler_;
  std::atomic<bool> cancelled_{false};

  GrpcMessageReader reader_;
  std::string held_input_;  // received, not yet consumed, while MustWait
  size_t assembling_bytes_ = 0;
  bool waiting_ = false;
  bool got_message_ = false;
  bool input_ended_ = false;
  bool input_end_delivered_ = false;
  bool input_refused_ = false;

  int64_t counted_bytes_ = 0;  // for the call and its request

  GrpcOutput output_;
  absl::Duration output_since_;    // it has not been empty
  size_t output_taken_bytes_ = 0;  // since then
  absl::Status status_;
  bool finished_ = false;
  bool cut_off_ = false;    // the reset may wait for a client that does not read
  bool responded_ = false;  // headers were submitted
  bool deferred_ = false;   // PeekOutput had nothing
  bool was_high_ = false;
  bool notifies_when_taken_ = false;

  Mutex mutex_;
  absl::InlinedVector<HandedOver, 2> handed_over_ ABSL_GUARDED_BY(mutex_);
  bool posted_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace tidemark::server
