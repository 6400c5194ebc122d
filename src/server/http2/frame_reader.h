// Cuts what a client sends into frames, whatever pieces it comes in.
//
// Hides the preface, padding, the priority that HEADERS may begin with, and CONTINUATION. What is
// not whole yet is kept: at most one frame, or one header block. Bytes of DATA are handed on as
// they come. Bound to one thread; input is hostile.
//
// 1. The first frame is SETTINGS, and nothing comes between the frames of one header block.
// 2. After an error nothing is read any more.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "src/server/http2/frame.h"

namespace tidemark::server::http2 {

class FrameReader {
 public:
  // Any call may end the connection, by its error.
  class Sink {
   public:
    virtual ~Sink() = default;

    // The head of a DATA frame; then its bytes, in pieces; then its end. Padding is skipped: it
    // counts for flow control and for nothing else.
    virtual ErrorCode OnDataBegin(const FrameHead& head) = 0;
    virtual void OnDataPiece(const FrameHead& head, absl::string_view bytes) = 0;
    virtual void OnDataPadding(const FrameHead& head, size_t byte_count) = 0;
    virtual void OnDataEnd(const FrameHead& head) = 0;
    // HEADERS with all that CONTINUATION brought.
    virtual ErrorCode OnHeaderBlock(const FrameHead& head, absl::string_view block) = 0;
    // Everything else, also of types that nobody knows.
    virtual ErrorCode OnFrame(const FrameHead& head, absl::string_view payload) = 0;
  };

  // Clients need one or two; an endless row of empty ones would cost and never be over
  // (CVE-2024-27316).
  static constexpr int kMaxContinuations = 64;

  explicit FrameReader(size_t max_header_block_bytes)
      : max_header_block_bytes_(max_header_block_bytes) {}

  // Of what is not whole yet.
  size_t held_bytes() const { return gathered_.capacity() + block_.capacity(); }
  // Takes all bytes.
  ErrorCode Read(absl::string_view bytes, Sink& sink);

 private:
  enum class State { kPreface, kHead, kPayload, kPadLength, kData, kPadding };

  ErrorCode Step(absl::string_view& bytes, Sink& sink);
  ErrorCode ReadPreface(absl::string_view& bytes);
  ErrorCode ReadHead(absl::string_view& bytes, Sink& sink);
  ErrorCode CheckOrder() const;
  ErrorCode ReadPayload(absl::string_view& bytes, Sink& sink);
  ErrorCode ReadPadLength(absl::string_view& bytes, Sink& sink);
  void ReadData(absl::string_view& bytes, Sink& sink);
  void ReadPadding(absl::string_view& bytes, Sink& sink);
  void EndData(Sink& sink);
  ErrorCode Dispatch(absl::string_view payload, Sink& sink);
  ErrorCode BeginBlock(absl::string_view payload, Sink& sink);
  ErrorCode ContinueBlock(absl::string_view payload, Sink& sink);
  bool Gather(absl::string_view& bytes, size_t whole_bytes, absl::string_view& whole);

  const size_t max_header_block_bytes_;
  State state_ = State::kPreface;
  FrameHead head_;
  std::string gathered_;      // of what is not whole yet
  size_t left_bytes_ = 0;     // of a DATA frame's content
  size_t padding_bytes_ = 0;  // behind it
  bool had_settings_ = false;
  // A header block that is not whole yet.
  bool in_block_ = false;
  FrameHead block_head_;
  std::string block_;
  int continuations_ = 0;
};

}  // namespace tidemark::server::http2
