// The seam between a connection (bytes) and what is spoken over it (HTTP/1.1, HTTP/2).
//
// Bound to the connection's loop.
#pragma once

#include "absl/strings/string_view.h"
#include "src/server/output_queue.h"

namespace tidemark::server {

class Protocol {
 public:
  virtual ~Protocol() = default;

  // Takes all bytes. False: nothing more is wanted; the connection ends once its output is written.
  virtual bool OnInput(absl::string_view bytes) = 0;
  // The client ended its side in order: nothing more comes. False: end the connection at once.
  virtual bool OnInputEnd() { return false; }
  // Appends output until the queue holds its bound. False: the connection ends once it is written.
  virtual bool FillOutput(OutputQueue& queue) = 0;
  // While false the socket is not read.
  virtual bool WantsInput() const { return true; }
  // Input and output held here, besides what the protocol counts itself.
  virtual size_t held_bytes() const { return 0; }
  // What clients do not take is holding too much.
  virtual void OnMemoryShort() {}
  // The next step is the client's: no request is being answered.
  virtual bool IsIdle() const = 0;
  // Finish what is in progress and end.
  virtual void BeginShutdown() = 0;
  // Nothing will be read or written any more; the last call.
  virtual void OnClosed() = 0;
};

}  // namespace tidemark::server
