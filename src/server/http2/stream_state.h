// What a session knows of one stream, and lists of such streams in the order of their turns.
//
// Bound to the session's thread.
//
// Invariant: a stream is in at most one list.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "src/base/check.h"
#include "src/server/http2/frame.h"
#include "src/server/http2/stream.h"

namespace tidemark::server::http2 {

class StreamList;

struct StreamState {
  uint32_t id = 0;
  std::shared_ptr<Stream> handler;         // nullptr: answered already
  int64_t receive_window = 0;              // what the client may still send
  int64_t consumed_bytes = 0;              // not yet given back to it
  int64_t send_window = 0;                 // below zero when the client made it smaller
  std::optional<uint64_t> declared_bytes;  // of its body, that did not come yet
  bool has_body = false;                   // headers were sent that something follows
  bool input_ended = false;
  bool output_ended = false;
  bool is_reset = false;   // by us: what still comes is not for anybody
  bool is_ending = false;  // all has been said; closed by the session's next turn
  ErrorCode end_code = ErrorCode::kNone;

  StreamList* list = nullptr;
  StreamState* previous = nullptr;
  StreamState* next = nullptr;
};

// Owns nothing.
class StreamList {
 public:
  StreamState* front() const { return first_; }

  // Wherever it was before.
  void PushBack(StreamState& stream) {
    Remove(stream);
    stream.list = this;
    stream.previous = last_;
    (last_ != nullptr ? last_->next : first_) = &stream;
    last_ = &stream;
  }
  static void Remove(StreamState& stream) {
    if (stream.list == nullptr) return;
    StreamList& list = *stream.list;
    (stream.previous != nullptr ? stream.previous->next : list.first_) = stream.next;
    (stream.next != nullptr ? stream.next->previous : list.last_) = stream.previous;
    stream.list = nullptr;
    stream.previous = stream.next = nullptr;
  }

 private:
  StreamState* first_ = nullptr;
  StreamState* last_ = nullptr;
};

}  // namespace tidemark::server::http2
