// The message that tells a watcher of events.
//
// Hides that a small one is encoded once for all watchers of a loop that hear the same: most
// streams number their only watch alike, so what they get of one event differs in nothing. Bound to
// the calling thread: each remembers its newest message, a copy that keeps nothing stored.
#pragma once

#include "src/base/bytes.h"
#include "src/mvcc/watch_set.h"
#include "src/server/services/reply_encoder.h"

namespace tidemark::server {

// The whole batch, unfragmented.
ByteChain EncodeEventsFor(const WatchReply& reply, const mvcc::EventBatchPtr& batch);

}  // namespace tidemark::server
