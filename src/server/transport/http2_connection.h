// HTTP/2 on one connection: requests become calls and exchanges, their output becomes frames.
//
// Hides nghttp2: HPACK, frames and both windows are its business; limits, keep-alive and shutdown
// are decided here. Bound to the connection's loop.
//
// 1. Nothing is sent from inside nghttp2's receive callbacks: frames leave at the turn's end.
// 2. Bytes a stream has not consumed stay in the client's windows: they bound what waits here.
// 3. Every data byte received is consumed exactly once, also when its stream is gone by then.
#pragma once

#include <nghttp2/nghttp2.h>

#include <memory>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "src/server/transport/connection.h"
#include "src/server/transport/header_cache.h"
#include "src/server/transport/header_rules.h"
#include "src/server/transport/http2_stream.h"
#include "src/server/transport/ping_policy.h"
#include "src/server/transport/protocol.h"
#include "src/server/transport/request_head.h"
#include "src/server/transport/settings_policy.h"

namespace tidemark::server {

class Http2Connection final : public Protocol {
 public:
  explicit Http2Connection(Connection& connection);
  ~Http2Connection() override;

  bool OnInput(absl::string_view bytes) override;
  bool FillOutput(OutputQueue& queue) override;
  bool WantsInput() const override;
  size_t held_bytes() const override;
  bool IsIdle() const override { return streams_.empty(); }
  void OnMemoryShort() override;
  void BeginShutdown() override;
  void OnClosed() override;

  // For streams.
  Connection& connection() { return connection_; }
  // Sends the response's headers; with a body when `has_body`, else they end the stream.
  void Respond(int32_t stream_id, absl::Span<const nghttp2_nv> headers, bool has_body);
  void SubmitTrailers(int32_t stream_id, absl::Span<const nghttp2_nv> trailers);
  // There is output after PeekOutput had none.
  void ResumeOutput(int32_t stream_id);
  void Reset(int32_t stream_id, uint32_t error_code);
  // Gives received bytes back to both windows, or to the connection's alone.
  void Consume(int32_t stream_id, size_t byte_count);
  void ConsumeForConnection(size_t byte_count);

  // Sums over all calls, kept by them.
  void AddUnsent(size_t byte_count) { unsent_bytes_ += byte_count; }
  void RemoveUnsent(size_t byte_count);
  bool HasUnsentRoom() const;
  // OnMayResume will be called when there is room again.
  void WaitForRoom(int32_t stream_id) { waiting_.insert(stream_id); }
  // False: too much is being assembled already.
  bool AddAssembling(size_t byte_count);
  void RemoveAssembling(size_t byte_count);
  // OnSent will be called once sending is over.
  void NotifyAfterSend(int32_t stream_id) { after_send_.push_back(stream_id); }

 private:
  friend struct Http2Callbacks;

  void OnRequestHeaders(int32_t stream_id, bool end_stream);
  void ShareOutput(int32_t stream_id);
  bool OnSettings();
  void OnPing();
  void OnPingAnswer();
  void CountFault(uint32_t error_code);
  void OnStreamClosed(int32_t stream_id, uint32_t error_code);
  ssize_t ReadData(int32_t stream_id, size_t max_bytes, uint32_t* data_flags);
  bool HasOutputRoom() const;
  void SendData(int32_t stream_id, const uint8_t* frame_head, size_t byte_count);
  void EndUnfinishedRequest(int32_t stream_id);
  void DeliverAfterSend();
  void ResumeWaiting();
  void SubmitSettings();
  void ScheduleKeepalive();
  void ScheduleKeepaliveAfter(absl::Duration from);
  void OnKeepaliveTimer();
  void FinishShutdown();
  std::vector<std::shared_ptr<Http2Stream>> Streams() const;
  Http2Stream* Find(int32_t stream_id);

  Connection& connection_;
  TransportContext& context_;
  nghttp2_session* session_ = nullptr;
  absl::flat_hash_map<int32_t, std::shared_ptr<Http2Stream>> streams_;
  HeaderCache header_cache_;
  RequestHead head_;               // of the header block being received
  HeaderRules rules_;              // for it
  OutputQueue* output_ = nullptr;  // while sending
  std::vector<int32_t> after_send_;
  absl::btree_set<int32_t> waiting_;
  PingPolicy ping_policy_;
  SettingsPolicy settings_policy_;
  TimerId keepalive_timer_ = 0;
  TimerId shutdown_timer_ = 0;
  absl::Duration last_input_;
  size_t unsent_bytes_ = 0;
  size_t assembling_bytes_ = 0;
  int stream_faults_ = 0;
  uint32_t end_code_ = NGHTTP2_PROTOCOL_ERROR;  // for input that ends the connection
  bool ping_outstanding_ = false;
  bool shutting_down_ = false;
  bool shutdown_final_ = false;
  bool failed_ = false;
};

}  // namespace tidemark::server
