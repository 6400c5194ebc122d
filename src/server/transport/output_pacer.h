// Who else is active on a loop while a connection sends something long.
//
// On few cores a loop that sends as fast as a client reads keeps two of them busy, and whoever
// wakes up meanwhile waits for a slice of the scheduler's. So while others ask for something, a
// long answer rests for as long as it was sent (Connection::Rest). Bound to its loop.
#pragma once

#include "absl/time/time.h"

namespace tidemark::server {

class OutputPacer {
 public:
  // Who asked for something, or sent something long, so long ago does not count any more.
  static constexpr absl::Duration kActiveTime = absl::Milliseconds(5);

  // `connection` asked for something, and is not sending something long itself: two of those would
  // rest for each other, and nobody work.
  void NoteRequest(const void* connection, absl::Duration now) {
    if (newest_.connection != connection) other_ = newest_;
    newest_ = {connection, now};
  }
  bool OthersAreActive(const void* connection, absl::Duration now) const {
    const Seen& seen = newest_.connection != connection ? newest_ : other_;
    return seen.connection != nullptr && now - seen.when <= kActiveTime;
  }

 private:
  struct Seen {
    const void* connection = nullptr;  // compared only
    absl::Duration when;
  };
  Seen newest_;
  Seen other_;  // the newest of another connection
};

}  // namespace tidemark::server
