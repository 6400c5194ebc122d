// The seam between an HTTP/2 session and what answers on one of its streams.
//
// Bound to the session's thread.
//
// 1. OnClosed is the last call; afterwards the session must not be used.
// 2. Output is asked for with TakeOutput only as far as flow control allows.
// 3. Nothing is called from inside of what a stream itself calls on its session.
#pragma once

#include <cstddef>

#include "absl/strings/string_view.h"
#include "src/server/http2/frame.h"
#include "src/server/output_queue.h"

namespace tidemark::server::http2 {

class Stream {
 public:
  virtual ~Stream() = default;

  // Whoever takes bytes returns them to flow control with Session::Consume.
  virtual void OnData(absl::string_view bytes) = 0;
  virtual void OnInputEnd() = 0;
  virtual void OnClosed(ErrorCode code) = 0;

  struct Ready {
    size_t byte_count = 0;
    bool last = false;  // nothing follows these bytes
  };
  // What could be sent now, at most `max_bytes`.
  virtual Ready PeekOutput(size_t max_bytes) = 0;
  // Moves exactly `byte_count` bytes, as promised by PeekOutput.
  virtual void TakeOutput(size_t byte_count, OutputQueue& queue) = 0;
  // Called once when the last byte is being sent: submit trailers, if any. True if it did.
  virtual bool SubmitTrailers() { return false; }

  // From the session's owner, which finds its streams there; the session calls none of these.
  // The connection has room again for calls that waited for it.
  virtual void OnMayResume() {}
  // Delivers what must not be delivered in the middle of sending.
  virtual void OnSent() {}
  // What clients do not take is holding too much.
  virtual void OnMemoryShort() {}
  virtual void OnShutdown() {}
  // What a shutdown ended should have been taken by the client by now. False: it was not ended, and
  // may take longer.
  virtual bool OnCutOff() { return false; }
};

}  // namespace tidemark::server::http2
