// This process's copy of one partition, and (here always) its primary.
//
// Hides the version store, the leases' attached keys, the writes in flight, and the pipeline
// evaluate -> order -> apply -> answer (docs/design-notes.md, "A write's way").
// Sequence-bound to `executor`, except where "any thread" is said; callbacks run on it.
//
// Invariants:
//  1. Entries are applied whole, in order, once. S2: applied <= committed, both monotone.
//  2. A write is evaluated only when nothing it depends on is in flight or held; its answer is
//     given after its own entry was applied here.
//  3. Refusals and answers without effects are confirmed like linearizable reads.
//  4. Every queue is bounded; beyond the bound requests get "etcdserver: too many requests".
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "proto/rpc.pb.h"
#include "src/base/clock.h"
#include "src/base/executor.h"
#include "src/base/ids.h"
#include "src/base/memory_mapper.h"
#include "src/journal/journal.h"
#include "src/kvstore/node_state.h"
#include "src/kvstore/results.h"
#include "src/mvcc/key_range.h"
#include "src/mvcc/version_store.h"
#include "src/mvcc/watch_set.h"

namespace tidemark::kvstore {

// How fresh an answer must be.
struct Freshness {
  enum class Kind {
    kLinearizable,  // confirm a tail after now, wait for it
    kSerializable,  // what this process knows to be committed, without asking a quorum
    kAtTail,        // the caller confirmed `tail`: wait for it, read at tail.revision
  };
  Kind kind = Kind::kLinearizable;
  journal::Tail tail;
};

// A read kAtTail cannot be answered any more, since a compaction passed what it was reading: it is
// to be asked again with a fresh tail. Never sent to a client.
inline absl::Status Overtaken() { return absl::AbortedError("compaction passed the tail"); }
inline bool IsOvertaken(const absl::Status& status) { return absl::IsAborted(status); }

// What a write that spans partitions depends on and changes in this one (design note "Holds").
struct Scope {
  std::vector<mvcc::KeyRange> reads;
  std::vector<mvcc::KeyRange> writes;
  std::vector<LeaseId> attaches;  // leases that puts of this write attach keys to
  std::vector<LeaseId> revokes;   // leases whose attached keys it deletes
};
using HoldId = uint64_t;

// A change decided by evaluation. `op` is the index of the operation in the list it came from.
struct KeyChange {
  size_t op = 0;
  bool is_delete = false;
  std::string key;
  std::string value;
  LeaseId lease{0};
  int64_t sub = 0;  // set by whoever orders the changes of an entry
};

// At most so much of segments do the changes' records take.
int64_t StoredBytes(absl::Span<const KeyChange> changes);

// A flattened operation of a write txn whose path is decided: exactly one of range, put,
// delete_range. Pointers into the request, which outlives it.
struct PlannedOp {
  const etcdserverpb::RangeRequest* range = nullptr;
  const etcdserverpb::PutRequest* put = nullptr;
  const etcdserverpb::DeleteRangeRequest* delete_range = nullptr;
};

// Unless somebody waits for a compaction, others have the sequence for this part of the time that
// each of its steps took: of the removals, and of the hash before them.
inline constexpr int kCompactionRestPercent = 400;

struct ReplicaOptions {
  PartitionId partition;
  OriginId origin;  // fresh per process start
  size_t max_txn_ops = 128;
  size_t max_pending_writes = 5000;  // waiting + in flight; etcd's apply gap
  size_t max_pending_reads = 100000;
  // Keys read or versions freed in one bounded step: about 100 us, which others wait for.
  size_t step_keys = 256;
  absl::Duration slow_apply = absl::Milliseconds(100);  // a batch that takes longer is logged
  mvcc::StoreOptions store;
  mvcc::WatchLimits watch;
};

// Figures that any thread may read.
struct PublishedStats {
  std::atomic<int64_t> logical_bytes{0};
  std::atomic<int64_t> logical_live_bytes{0};
  std::atomic<int64_t> segment_bytes{0};
  std::atomic<int64_t> live_keys{0};
  std::atomic<int64_t> versions{0};
  std::atomic<int64_t> applied_position{0};
  std::atomic<int64_t> revision{1};
  std::atomic<int64_t> compact_revision{-1};
  std::atomic<int64_t> watchers{0};
  std::atomic<int64_t> watchers_behind{0};
  std::atomic<int64_t> puts_total{0};
  std::atomic<int64_t> put_bytes_total{0};  // keys and values
  std::atomic<int64_t> deletes_total{0};
  std::atomic<int64_t> ranges_total{0};
  std::atomic<int64_t> txns_total{0};
  std::atomic<int64_t> events_total{0};
  std::atomic<int64_t> pending_writes{0};
  std::atomic<uint64_t> state_hash{0};
  std::atomic<int64_t> open_reads{0};
  std::atomic<int64_t> compacted_versions_total{0};
  std::atomic<int64_t> slow_applies_total{0};  // batches, once primary
};

// Hears of applied changes that concern the whole node. Called on the replica's sequence.
class ApplyObserver {
 public:
  virtual ~ApplyObserver() = default;
  virtual void OnLeaseGranted(LeaseId id, int64_t ttl_seconds) = 0;
  virtual void OnLeaseRevoked(LeaseId id) = 0;
  // remaining_seconds 0: back to the full TTL.
  virtual void OnLeaseRemaining(LeaseId id, int64_t remaining_seconds) = 0;
  virtual void OnAlarm(uint64_t member_id, int alarm_type, bool raised) = 0;
};

class Replica {
 public:
  using PutRequest = etcdserverpb::PutRequest;
  using DeleteRangeRequest = etcdserverpb::DeleteRangeRequest;
  using TxnRequest = etcdserverpb::TxnRequest;
  using RangeRequest = etcdserverpb::RangeRequest;
  template <typename Result>
  using Callback = absl::AnyInvocable<void(absl::StatusOr<Reply<Result>>)>;
  using StatusCallback = absl::AnyInvocable<void(absl::Status)>;

  static std::unique_ptr<Replica> Create(ReplicaOptions options, Executor& executor, Clock& clock,
                                         journal::Journal& journal, MemoryMapper& memory,
                                         ApplyObserver* observer);
  virtual ~Replica() = default;

  // --- Starting: Start once, before anything else, with the store started (StartEmpty or Adopt and
  // Restore) and not finished. ---
  // What the image stands for: a checkpoint, or nothing. An adopted store may be ahead of it; the
  // changes it has already are skipped when they are applied.
  struct StartFrom {
    journal::Tail at;
    Revision compacted = mvcc::kNeverCompacted;
    Revision last_change{0};
    NodeState node;
  };
  virtual void Start(const StartFrom& from) = 0;

  // --- Feeding from the journal (one subscription may serve several replicas) ---
  // Entries that do not name this partition are skipped; the batch's tail moves the watermark.
  virtual void Apply(const journal::Batch& batch) = 0;
  // Claims the partition; writes are accepted once the claim was applied.
  virtual void BecomePrimary(StatusCallback done) = 0;
  virtual Epoch epoch() const = 0;
  virtual journal::Tail watermark() const = 0;

  // --- Writes that stay inside this partition. Requests were checked for shape already
  // (kvstore/request_checks.h). ---
  virtual void Put(PutRequest request, Callback<PutResult> done) = 0;
  virtual void DeleteRange(DeleteRangeRequest request, Callback<DeleteResult> done) = 0;
  virtual void Txn(TxnRequest request, Callback<TxnResult> done) = 0;

  // --- Reads ---
  // Served in bounded steps at one revision; the header's revision is the watermark's (or the
  // tail's with kAtTail).
  virtual void Range(RangeRequest request, Freshness freshness, Callback<RangeResult> done) = 0;
  // As Range, but the result's count is 0 and nothing is counted: for pages of a long range.
  // REQUIRES a limit.
  virtual void RangePage(RangeRequest request, Freshness freshness, Callback<RangeResult> done) = 0;
  // A txn whose branches hold only ranges, or nothing.
  virtual void ReadTxn(TxnRequest request, Freshness freshness, Callback<TxnResult> done) = 0;
  // Runs once everything up to `position` is applied here; `reached` is the watermark then.
  virtual void WhenApplied(Position position,
                           absl::AnyInvocable<void(journal::Tail reached)> done) = 0;
  // Confirms a tail and waits for it; shared by everyone who waits.
  virtual void Barrier(absl::AnyInvocable<void(absl::StatusOr<journal::Tail>)> done) = 0;

  // --- Parts of writes that span partitions (design note "Holds"). ---
  // Runs `done` when nothing in flight or held here conflicts; from then on conflicting writes
  // wait.
  virtual void Hold(Scope scope, absl::AnyInvocable<void(HoldId)> done) = 0;
  virtual void Release(HoldId hold) = 0;
  // AND over the compares, against the state before the txn. A range compare that spans partitions
  // is asked in each; `exists` says whether a key was found (an empty range compares like a missing
  // key only if it is empty everywhere).
  struct CompareOutcome {
    bool holds = true;  // every key found here satisfies it
    bool exists = false;
  };
  virtual CompareOutcome Compare(HoldId hold, const etcdserverpb::Compare& compare) = 0;
  // Checks and evaluates the operations in order against the state with their own earlier changes.
  // `refused_op` is set when one of them is refused.
  virtual absl::StatusOr<std::vector<KeyChange>> Evaluate(HoldId hold,
                                                          absl::Span<const PlannedOp> ops,
                                                          size_t* refused_op) = 0;
  virtual std::vector<std::string> LeaseKeys(LeaseId lease) = 0;  // sorted
  // The entry (origin, number) will carry this partition's changes: when it is applied here `done`
  // gets one result per op, and the hold ends. `ops` must stay valid until then.
  virtual void ExpectEntry(HoldId hold, OriginId origin, uint64_t number,
                           std::vector<PlannedOp> ops,
                           absl::AnyInvocable<void(Reply<std::vector<OpResult>>)> done) = 0;

  // --- Leases as this partition knows them ---
  virtual bool LeaseExists(LeaseId lease) const = 0;

  // --- Maintenance ---
  // Frees what compactions up to `up_to` released, in steps; `done` when nothing is left. One that
  // hurries takes no rests, and neither does what waits with it.
  enum class Pace { kBesideOthers, kHurry };
  virtual void RunCompaction(Revision up_to, Pace pace, absl::AnyInvocable<void()> done) = 0;

  // What stands for this replica's state now. Until EndImage no stored change is removed or moved,
  // so that they can be read in steps (VersionStore::VisitStored). One at a time.
  struct Image {
    journal::Tail at;
    Revision compacted;
    mvcc::StoreStats stats;
    NodeState node;
  };
  virtual Image BeginImage() = 0;
  virtual void EndImage() = 0;

  virtual mvcc::VersionStore& store() = 0;
  virtual mvcc::WatchSet& watches() = 0;
  // Starts feeding watchers that are behind (after Add or Resume), in steps.
  virtual void KickWatches() = 0;

  // Any thread.
  virtual const PublishedStats& stats() const = 0;
  virtual Executor& executor() = 0;
  virtual PartitionId partition() const = 0;
  virtual void CheckInvariants() const = 0;
};

}  // namespace tidemark::kvstore
