// HTTP/2 as a server speaks it on one connection (RFC 9113): streams, both windows, and what is
// sent next.
//
// Hides frames, HPACK and the life of a stream. Knows no sockets, no time and nothing of gRPC; what
// clients may cost is decided by its owner. Bound to one thread; input is hostile.
//
// 1. While bytes are received nothing is sent, and what a stream asks for only happens in Fill: so
//    nothing that a stream calls here calls back into it.
// 2. Bytes a stream has not consumed stay in the client's windows: they bound what waits in it.
// 3. Every byte of DATA is consumed exactly once, also when its stream is gone by then.
// 4. Streams with something to send have their turns, a frame each.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "src/server/http2/control_queue.h"
#include "src/server/http2/frame.h"
#include "src/server/http2/frame_reader.h"
#include "src/server/http2/header_block_reader.h"
#include "src/server/http2/header_block_writer.h"
#include "src/server/http2/stream.h"
#include "src/server/http2/stream_state.h"
#include "src/server/output_queue.h"

namespace tidemark::server::http2 {

struct SessionOptions {
  uint32_t max_concurrent_streams = UINT32_MAX;
  // REQUIRES: not less than what HTTP/2 begins with.
  int32_t stream_window_bytes = 1 << 20;
  int32_t connection_window_bytes = 16 << 20;
  uint32_t max_header_list_bytes = 64 << 10;
};

class Session final : private FrameReader::Sink {
 public:
  class Owner {
   public:
    virtual ~Owner() = default;

    enum class Block { kRequest, kTrailers, kIgnored };
    // Headers are told of one by one, in order. False: the connection ends.
    virtual void OnBlockBegin(Block block) = 0;
    // `note`: see HeaderTable.
    virtual bool OnHeader(absl::string_view name, absl::string_view value, HeaderNote& note) = 0;
    // False: the stream ends, by PROTOCOL_ERROR.
    virtual bool IsGoodBlock() = 0;
    // How long the request says that its body is (content-length). Another length ends the stream,
    // by PROTOCOL_ERROR.
    virtual std::optional<uint64_t> DeclaredBodyBytes() = 0;
    // Who answers; nullptr when that is done already.
    virtual std::shared_ptr<Stream> OnRequest(uint32_t stream_id) = 0;
    // Nobody asks about the block any more.
    virtual void OnBlockEnd() {}
    // What clients may do so often only. False: the connection ends, by ENHANCE_YOUR_CALM.
    virtual bool OnReset() = 0;
    virtual bool OnSettings() = 0;
    virtual bool OnPing() = 0;
    virtual void OnPingAnswer() = 0;
  };

  Session(const SessionOptions& options, Owner& owner);
  ~Session() override;

  // Takes all bytes, from the preface on. False once the session has failed.
  bool Receive(absl::string_view bytes);
  // Carries out what streams asked for and appends what is to be sent, until the queue holds
  // `max_bytes`: with a client that takes nothing, streams do not end either.
  void Fill(OutputQueue& queue, size_t max_bytes);
  // Nothing more will come from either side, once what Fill gave is sent.
  bool IsOver() const;
  // The client broke the rules: nothing more is read, and nothing more sent but why.
  bool has_failed() const { return failed_; }
  absl::string_view failure() const { return failure_; }

  // A response's headers; with a body when `has_body`, else they end the stream.
  void Respond(uint32_t stream_id, absl::Span<const Header> headers, bool has_body);
  // What ends a stream behind its body; from inside SubmitTrailers.
  void Trailers(uint32_t stream_id, absl::Span<const Header> headers);
  // There is output after PeekOutput had none.
  void ResumeOutput(uint32_t stream_id);
  void Reset(uint32_t stream_id, ErrorCode code);
  // Gives received bytes back to both windows, or to the connection's alone.
  void Consume(uint32_t stream_id, size_t byte_count);
  void ConsumeForConnection(size_t byte_count);

  void Ping(absl::string_view eight_bytes);
  // No new requests, please; those on their way are still served.
  void AnnounceGoaway();
  // Requests that come from now on are ignored.
  void Goaway();
  // No more calls to any stream but OnClosed.
  void CloseAll();

  // nullptr when there is none.
  std::shared_ptr<Stream> Find(uint32_t stream_id) const;
  std::vector<std::shared_ptr<Stream>> streams() const;
  size_t stream_count() const { return streams_.size(); }
  // Frames, besides DATA, that wait for Fill, and what is held for them and of unfinished input.
  size_t waiting_frames() const { return control_.frame_count() + ended_.size(); }
  size_t waiting_bytes() const { return control_.waiting_bytes(); }
  size_t held_bytes() const {
    return control_.held_bytes() + ended_.size() * sizeof(StreamState) + reader_.held_bytes();
  }
  // HEADERS and DATA given to Fill so far.
  uint64_t answer_frames() const { return answer_frames_; }

 private:
  ErrorCode OnDataBegin(const FrameHead& head) override;
  void OnDataPiece(const FrameHead& head, absl::string_view bytes) override;
  void OnDataPadding(const FrameHead& head, size_t byte_count) override;
  void OnDataEnd(const FrameHead& head) override;
  ErrorCode OnHeaderBlock(const FrameHead& head, absl::string_view block) override;
  ErrorCode OnFrame(const FrameHead& head, absl::string_view payload) override;

  void OnDataOfClosed(uint32_t stream_id);
  ErrorCode UseBlock(const FrameHead& head, absl::string_view block);
  ErrorCode ReadBlock(Owner::Block kind, absl::string_view block);
  ErrorCode BeginStream(const FrameHead& head, absl::string_view block);
  ErrorCode EndByTrailers(StreamState& stream, const FrameHead& head, absl::string_view block);
  ErrorCode OnResetFrame(const FrameHead& head, absl::string_view payload);
  ErrorCode OnSettingsFrame(const FrameHead& head, absl::string_view payload);
  ErrorCode Apply(Setting setting, uint32_t value, int64_t& initial_window);
  ErrorCode SetInitialWindow(int64_t byte_count);
  ErrorCode OnPingFrame(const FrameHead& head, absl::string_view payload);
  ErrorCode OnGoawayFrame(const FrameHead& head, absl::string_view payload);
  ErrorCode OnWindowUpdate(const FrameHead& head, absl::string_view payload);
  ErrorCode WidenStream(uint32_t stream_id, uint32_t byte_count);
  bool IsIdle(uint32_t stream_id) const;
  bool CountBody(StreamState& stream, size_t byte_count);
  void EndInput(StreamState& stream);

  void Fail(ErrorCode code, absl::string_view reason);
  void EndStreams();
  StreamState* NextToSend() const;
  void Resume(StreamState& stream);
  void MarkEnding(StreamState& stream);
  bool WriteNextData(OutputQueue& queue);
  void WriteData(StreamState& stream, const Stream::Ready& ready, OutputQueue& queue);
  size_t DataRoom(const StreamState& stream) const;
  void AppendHeaders(uint32_t stream_id, absl::Span<const Header> headers, uint8_t flags);
  void RefuseStream(uint32_t stream_id, ErrorCode code);
  void NoteReset(uint32_t stream_id);
  bool WasReset(uint32_t stream_id) const;
  void CountFault(ErrorCode code);
  void Close(StreamState& stream, ErrorCode code);
  StreamState& AddState(uint32_t stream_id);
  StreamState* FindState(uint32_t stream_id) const;

  const SessionOptions options_;
  Owner& owner_;
  FrameReader reader_;
  HeaderBlockReader header_reader_;
  HeaderBlockWriter header_writer_;
  absl::flat_hash_map<uint32_t, std::unique_ptr<StreamState>> streams_;
  std::vector<std::unique_ptr<StreamState>> spare_;  // for streams to come
  uint32_t last_stream_id_ = 0;                      // the highest that a request came on
  StreamState* receiving_ = nullptr;  // whose DATA is being received; nullptr: nobody's any more

  int64_t receive_window_;  // what the client may still send
  int64_t consumed_bytes_ = 0;
  int64_t send_window_ = kInitialWindowBytes;
  int64_t client_stream_window_ = kInitialWindowBytes;  // what streams begin with
  uint32_t client_max_frame_bytes_ = kLeastMaxFrameBytes;

  ControlQueue control_;
  std::string block_;  // scratch
  uint64_t answer_frames_ = 0;
  StreamList ready_;    // may have something to send
  StreamList starved_;  // wait for the connection's window
  size_t ending_count_ = 0;
  std::vector<uint32_t> ended_;   // what EndStreams has to look at
  std::vector<uint32_t> ending_;  // what it is looking at
  // Closed streams that the client may still be sending on, because it was we who ended them. Of
  // those up to a number it is not known any more.
  std::vector<uint32_t> resets_;
  size_t next_reset_ = 0;
  uint32_t forgotten_resets_up_to_ = 0;
  int faults_ = 0;
  bool goaway_received_ = false;
  bool refuses_new_ = false;
  bool failed_ = false;
  absl::string_view failure_;
};

}  // namespace tidemark::server::http2
