// The watches of one client stream, over all partitions.
//
// Hides which partitions a watch touches, the merge of their events into revision order up to the
// smallest watermark, and the flow control between a partition's sequence and the stream's
// (docs/design-notes.md, "Watch ports").
// Sequence-bound to the stream's executor; output is called on it, never inline from a call.
//
// Invariants:
//  1. Per watch: events in (main, sub) order, each once, one revision in one OnEvents.
//  2. OnProgress(R) comes after every event <= R of every watch it speaks for (W12).
//  3. Memory per stream is bounded by the credit: without Consumed calls, output stops.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "proto/rpc.pb.h"
#include "src/base/ids.h"
#include "src/mvcc/watch_set.h"

namespace tidemark::partition {

// The stream's writing side (server/watch_service): turns calls into WatchResponses, in order.
class WatchOutput {
 public:
  virtual ~WatchOutput() = default;
  // Answer to a create; always before any other call for that id.
  virtual void OnCreated(int64_t watch_id, Revision header_revision) = 0;
  // {created, canceled, watch_id -1, compact_revision 0, reason}.
  virtual void OnCreateRefused(Revision header_revision, absl::string_view reason) = 0;
  virtual void OnEvents(int64_t watch_id, mvcc::EventBatchPtr batch, Revision header_revision,
                        bool may_fragment) = 0;
  // The answer to a cancel request.
  virtual void OnCanceled(int64_t watch_id, Revision header_revision) = 0;
  // {watch_id, canceled, compact_revision}, header revision 0, no reason.
  virtual void OnCompacted(int64_t watch_id, Revision compact_revision) = 0;
  // watch_id -1: for all watches of the stream.
  virtual void OnProgress(int64_t watch_id, Revision header_revision) = 0;
};

class WatchStream {
 public:
  virtual ~WatchStream() = default;  // ends all watches; no output afterwards

  // False, of this and the next two: more requests wait than a stream may have, and this one was
  // not taken. The stream is to be ended, since its client waits for the answer.
  virtual bool Create(const etcdserverpb::WatchCreateRequest& request) = 0;
  virtual bool Cancel(int64_t watch_id) = 0;
  virtual bool RequestProgress() = 0;
  // The tick of progress_notify: each such watch that sent nothing since the last tick and is
  // caught up gets a progress message.
  virtual void NotifyProgress() = 0;
  // The output handed this many bytes of event batches to the network.
  virtual void Consumed(size_t bytes) = 0;
  virtual int64_t watch_count() const = 0;
};

}  // namespace tidemark::partition
