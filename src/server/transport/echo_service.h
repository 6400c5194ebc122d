// A gRPC service for tests and measurements: echoes, failures, floods, and calls that never end.
//
// Hides the handlers; what they see is counted. Thread-safe.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "src/base/posix_clock.h"
#include "src/base/thread_executor.h"
#include "src/server/rpc.h"

namespace tidemark::server {

struct EchoCounters {
  std::atomic<int64_t> open_calls{0};
  std::atomic<int64_t> done_calls{0};
  std::atomic<int64_t> cancelled_calls{0};  // at OnDone
  std::atomic<int64_t> messages{0};
  std::atomic<int64_t> max_unsent_bytes{0};

  PosixClock clock;
  ThreadExecutor worker{"echo-worker", clock};  // to be stopped before the transport is destroyed
};

// /test.Echo/Unary      answers with the request
// /test.Echo/Threaded   the same, from another thread
// /test.Echo/Fail       ends with the code and text of the request: "9 some text"
// /test.Echo/Metadata   answers with the metadata, "name=value\n" each, then the peer; essential
// /test.Echo/Hang       never answers
// /test.Echo/Limited    answers "late" after as many milliseconds as the request says
// /test.Echo/Sized      answers with as many bytes as the request says, in runs of 64 KiB
// /test.Echo/Flood      streams as many messages of 64 KiB as the request says, at the client's
//                       pace
// /test.Echo/Bidi       echoes message by message; ends when the client half-closes
// /test.Echo/Lasting    the same; a shutdown ends it
// /test.Echo/LastingPour  as Pour, but a shutdown ends it
// /test.Echo/Pour       bidi: each message asks for that many bytes, sent without looking at room
std::vector<Method> EchoMethods(std::shared_ptr<EchoCounters> counters);

}  // namespace tidemark::server
