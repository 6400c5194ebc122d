// HTTP/2 on one connection: requests become calls and exchanges, their output becomes frames.
//
// Limits, keep-alive and shutdown are decided here; frames, streams and windows are the session's.
// Bound to the connection's loop.
//
// Whatever streams ask for leaves at the turn's end.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/types/span.h"
#include "src/server/http2/session.h"
#include "src/server/transport/allowance.h"
#include "src/server/transport/connection.h"
#include "src/server/transport/header_cache.h"
#include "src/server/transport/header_rules.h"
#include "src/server/transport/ping_policy.h"
#include "src/server/transport/protocol.h"
#include "src/server/transport/request_head.h"

namespace tidemark::server {

class Http2Connection final : public Protocol, private http2::Session::Owner {
 public:
  explicit Http2Connection(Connection& connection);

  bool OnInput(absl::string_view bytes) override;
  bool FillOutput(OutputQueue& queue) override;
  bool WantsInput() const override;
  size_t held_bytes() const override;
  bool IsIdle() const override { return session_.stream_count() == 0; }
  void OnMemoryShort() override;
  void BeginShutdown() override;
  void OnClosed() override;

  // For streams.
  Connection& connection() { return connection_; }
  // Sends the response's headers; with a body when `has_body`, else they end the stream.
  void Respond(uint32_t stream_id, absl::Span<const http2::Header> headers, bool has_body);
  void SubmitTrailers(uint32_t stream_id, absl::Span<const http2::Header> trailers);
  // There is output after PeekOutput had none.
  void ResumeOutput(uint32_t stream_id);
  void Reset(uint32_t stream_id, http2::ErrorCode code);
  // Gives received bytes back to both windows, or to the connection's alone.
  void Consume(uint32_t stream_id, size_t byte_count);
  void ConsumeForConnection(size_t byte_count);

  // Sums over all calls, kept by them.
  void AddUnsent(size_t byte_count) { unsent_bytes_ += byte_count; }
  void RemoveUnsent(size_t byte_count);
  bool HasUnsentRoom() const;
  // OnMayResume will be called when there is room again.
  void WaitForRoom(uint32_t stream_id) { waiting_.insert(stream_id); }
  // False: too much is being assembled already.
  bool AddAssembling(size_t byte_count);
  void RemoveAssembling(size_t byte_count);
  // OnSent will be called once sending is over.
  void NotifyAfterSend(uint32_t stream_id) { after_send_.push_back(stream_id); }

 private:
  void OnBlockBegin(Block block) override;
  bool OnHeader(absl::string_view name, absl::string_view value, http2::HeaderNote& note) override;
  bool IsGoodBlock() override { return rules_.IsGood(); }
  std::optional<uint64_t> DeclaredBodyBytes() override { return head_->body_bytes; }
  std::shared_ptr<http2::Stream> OnRequest(uint32_t stream_id) override;
  void OnBlockEnd() override { head_.reset(); }
  bool OnReset() override;
  bool OnSettings() override;
  bool OnPing() override;
  void OnPingAnswer() override;

  HeaderField FieldOf(absl::string_view name, absl::string_view value, http2::HeaderNote& note);
  void DeliverAfterSend();
  void ResumeWaiting();
  void ScheduleKeepalive();
  void ScheduleKeepaliveAfter(absl::Duration from);
  void OnKeepaliveTimer();
  void FinishShutdown();

  Connection& connection_;
  TransportContext& context_;
  http2::Session session_;
  HeaderCache header_cache_;
  // Of the header block being received.
  std::optional<RequestHead> head_;
  HeaderRules rules_;
  Block block_ = Block::kRequest;
  std::vector<uint32_t> after_send_;
  absl::btree_set<uint32_t> waiting_;
  PingPolicy ping_policy_;
  Allowance resets_;
  Allowance settings_;
  uint64_t answer_frames_ = 0;  // that ping_policy_ knows of
  TimerId keepalive_timer_ = 0;
  TimerId shutdown_timer_ = 0;
  absl::Duration last_input_;
  size_t unsent_bytes_ = 0;
  size_t assembling_bytes_ = 0;
  bool ping_outstanding_ = false;
  bool shutting_down_ = false;
  bool shutdown_final_ = false;
};

}  // namespace tidemark::server
