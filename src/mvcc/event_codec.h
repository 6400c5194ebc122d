// The wire form of watch events: field 11 of etcdserverpb.WatchResponse, one mvccpb.Event each.
//
// Hides the encoding. Small values are copied into one buffer for all events of a batch, larger
// ones stay where the store has them. Stateless functions.
#pragma once

#include "absl/types/span.h"
#include "src/base/bytes.h"
#include "src/mvcc/version_store.h"

namespace tidemark::mvcc {

// Key-values of at least this size are referred to instead of copied: a run of its own costs the
// socket about as much as copying this much.
inline constexpr size_t kReferencedFromBytes = 1024;

size_t EncodedEventSize(const Event& event);
ByteChain EncodeEvents(absl::Span<const Event> events);

}  // namespace tidemark::mvcc
