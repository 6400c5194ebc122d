// What the client port allows: numbers of loops and connections, sizes, times.
//
// Immutable once the transport is started.
#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace tidemark::server {

struct KeepaliveOptions {
  absl::Duration client_min_interval = absl::Seconds(5);  // pings more often are strikes
  absl::Duration interval = absl::Hours(2);               // our own pings; zero: none
  absl::Duration timeout = absl::Seconds(20);             // for their answers; zero: none
};

struct TransportOptions {
  size_t loop_count = 1;
  size_t max_connections = 65536;
  // When there are so many, a new one takes the place of the one that has been idle longest, of
  // its loop's. Looks at all of them: for a few.
  bool replaces_idle_connections = false;
  uint32_t max_concurrent_streams = 4294967295u;
  KeepaliveOptions keepalive;

  size_t max_receive_message_bytes = 2 << 20;
  size_t max_metadata_bytes = 64 << 10;
  size_t max_http_body_bytes = 4 << 20;

  // Flow control towards us. The connection's window bounds what waits unread per connection.
  int32_t stream_window_bytes = 1 << 20;
  int32_t connection_window_bytes = 16 << 20;
  // Partly received messages of one connection, together.
  size_t max_assembling_bytes = 64 << 20;

  // Flow control towards clients. Above `high`, a call's further requests wait; below `low` after
  // having been above, OnDrained.
  size_t unsent_low_bytes = 256 << 10;
  size_t unsent_high_bytes = 1 << 20;
  size_t connection_unsent_high_bytes = 256 << 20;
  // Encoded bytes handed to the socket's queue ahead of the kernel taking them.
  size_t output_queue_bytes = 64 << 10;

  // While memory is short, what is not taken from us in time gives up what it holds. An answer
  // that its client takes more slowly than this, for so long, is cut off.
  absl::Duration slow_answer_time = absl::Seconds(10);
  size_t slow_answer_bytes_per_second = 256 << 10;
  // What a call is told that there is no memory for.
  absl::Status busy = absl::ResourceExhaustedError("too many requests");
  // What lasting calls end with at shutdown.
  absl::Status stopped = absl::UnavailableError("server stopped");

  absl::Duration handshake_timeout = absl::Seconds(20);      // TLS and the first bytes
  absl::Duration http1_request_timeout = absl::Seconds(20);  // first to last byte of a request
  absl::Duration http1_idle_timeout = absl::Minutes(5);
};

}  // namespace tidemark::server
