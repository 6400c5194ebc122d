// The watchers of one partition, each a cursor over the partition's event order.
//
// Hides how watchers are found for a key (exact keys, an interval map for ranges), and which of
// them are synced (fed as entries commit) or behind (fed from history in bounded steps). One
// EventBatch is built and encoded once and shared by all watchers with the same view of it.
// Sequence-bound, together with the VersionStore it reads.
//
// Invariants (numbers W1-W12 in docs/testing.md):
//  1. A watcher gets each matching event with main >= start once, in (main, sub) order, no gaps.
//  2. All its events of one revision are in one batch.
//  3. A sink without room is never offered more: its watchers turn into cursors until Resume.
//  4. A cursor overtaken by compaction ends with OnCompacted, never with a silent skip.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "src/base/ids.h"
#include "src/mvcc/key_range.h"
#include "src/mvcc/version_store.h"

namespace tidemark::mvcc {

using WatcherId = uint64_t;

// Events of one or more whole revisions for watchers with one view (range, filters, prev_kv).
class EventBatch {
 public:
  virtual ~EventBatch() = default;
  virtual absl::Span<const Event> events() const = 0;
  // The events as fields 11 of etcdserverpb.WatchResponse, prev_kv included if the view wants it.
  // Encoded at the first call and shared; thread-safe.
  virtual const ByteChain& Encoded() const = 0;
  virtual size_t encoded_size_bytes() const = 0;
};
using EventBatchPtr = std::shared_ptr<const EventBatch>;

// Builds a batch from copied events (used by merges over partitions and by tests). Thread-safe.
EventBatchPtr MakeEventBatch(std::vector<Event> events, bool with_prev_kv);

// Where a watcher's output goes. Called on the partition's sequence; must not call back.
class WatchSink {
 public:
  virtual ~WatchSink() = default;
  // False: no room; the watcher stays where it was until Resume.
  virtual bool HasRoom() = 0;
  // What a batch of history should not exceed much. Whoever has room has some of it.
  virtual size_t RoomBytes() { return SIZE_MAX; }
  // `header_revision`: the revision itself when live, the store's current one when catching up.
  virtual void OnEvents(WatcherId id, EventBatchPtr batch, Revision header_revision) = 0;
  // The watcher is gone.
  virtual void OnCompacted(WatcherId id, Revision compact_revision) = 0;
};

struct WatchSpec {
  KeyRange range;
  Revision start{0};  // first revision wanted, > 0 (a request's 0 is current + 1)
  bool no_put = false;
  bool no_delete = false;
  bool prev_kv = false;
  WatchSink* sink = nullptr;  // outlives the watcher
};

struct WatchLimits {
  int64_t max_revisions_per_batch = 1000;  // catch-up; etcd's figure
  int64_t max_bytes_per_batch = 1 << 20;   // soft: a single revision is never split
};

class WatchSet {
 public:
  static std::unique_ptr<WatchSet> Create(VersionStore& store, WatchLimits limits);
  virtual ~WatchSet() = default;

  // REQUIRES a non-empty range. Never calls the sink inline.
  virtual WatcherId Add(WatchSpec spec) = 0;
  virtual void Remove(WatcherId id) = 0;

  // An entry was committed with these events.
  virtual void Notify(Revision main, absl::Span<const Event> events) = 0;
  // Feeds watchers that are behind, looking at about `max_scanned` changes. Returns true while some
  // watcher with room is still behind.
  virtual bool CatchUpStep(int64_t max_scanned) = 0;
  // The sink has room again.
  virtual void Resume(WatchSink* sink) = 0;

  // True when all events <= the store's current revision were handed to the sink and the watcher's
  // start is not in the future.
  virtual bool IsSynced(WatcherId id) const = 0;
  virtual int64_t watcher_count() const = 0;
  virtual int64_t behind_count() const = 0;
  virtual void CheckInvariants() const = 0;
};

}  // namespace tidemark::mvcc
