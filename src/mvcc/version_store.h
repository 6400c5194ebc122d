// The multi-version store of one partition: every key's versions since the last compaction.
//
// Hides the segments that hold the records, the index over them and how both are reclaimed. A
// record holds the canonical wire bytes of mvccpb.KeyValue, so that answers and events refer to
// stored bytes and are never encoded again; SharedBytes handed out keep their segment alive and
// may be read on any thread.
// Sequence-bound: one caller at a time, no I/O, no clock, no locks.
//
// Invariants:
//  1. Changes arrive in ascending (main, sub); an entry's changes become final at CommitEntry.
//  2. Reads at a revision R with compact revision <= R <= current give the same answer for ever,
//     until a compaction above R.
//  3. Compact(R) keeps, for every key, the newest version <= R if it is a put, everything > R,
//     and a tombstone whose main revision is exactly R (etcd >= 3.4.34; contract 2.8).
//  4. Physical removal takes nothing that reads at or above its bound need.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "src/base/bytes.h"
#include "src/base/ids.h"
#include "src/base/load_progress.h"
#include "src/base/memory_mapper.h"
#include "src/base/parallel_runner.h"
#include "src/mvcc/key_range.h"
#include "src/mvcc/revision_key.h"
#include "src/mvcc/store_options.h"

namespace tidemark::mvcc {

// "Never compacted", as etcd shows it.
inline constexpr Revision kNeverCompacted{-1};
// Reads what was last written, uncommitted changes of the open entry included.
inline constexpr Revision kLatest{INT64_MAX};

// One version of one key. Views live as long as `wire`'s owner.
struct KeyValue {
  absl::string_view key;
  absl::string_view value;
  Revision create_revision{0};
  Revision mod_revision{0};
  int64_t version = 0;
  LeaseId lease{0};
  SharedBytes wire;  // canonical mvccpb.KeyValue
};

// The same without taking a reference on the segment: valid only inside the call that yields it.
struct KeyValueView {
  absl::string_view key;
  absl::string_view value;
  Revision create_revision{0};
  Revision mod_revision{0};
  int64_t version = 0;
  LeaseId lease{0};
  absl::string_view wire;
};

struct Event {
  enum class Type : uint8_t { kPut = 0, kDelete = 1 };
  RevisionKey revision;
  Type type = Type::kPut;
  absl::string_view key;
  SharedBytes kv;  // wire KeyValue; for a delete only key and mod_revision
  // State of the key at main-1; absent for a creating put (also of a key that
  // the same entry deleted before), or when compacted already.
  std::optional<SharedBytes> prev_kv;
};

struct StoreStats {
  int64_t live_keys = 0;
  int64_t versions = 0;
  // etcd's "db size" as a logical figure: bytes of all retained records (superseded ones too) with
  // a fixed overhead each; falls as compaction removes them.
  int64_t logical_bytes = 0;
  int64_t logical_live_bytes = 0;  // of the newest versions only
  int64_t wire_bytes = 0;          // of all stored changes
  int64_t segment_bytes = 0;       // mapped
  int64_t index_bytes = 0;         // on the heap, estimated
  // Sums of hashes over records. `state_hash`: over the newest versions of live keys; it depends
  // only on the entries applied (S1). `stored_hash`: over everything stored, so also on how far
  // removal has got.
  uint64_t state_hash = 0;
  uint64_t stored_hash = 0;
  Revision last_change{0};  // main of the newest change ever made here
};

// A stored change as it is.
struct StoredRecord {
  RevisionKey revision;
  bool tombstone = false;
  SharedBytes wire;
};

class VersionStore {
 public:
  // To be started by one of StartEmpty and Adopt, perhaps a restoration, and FinishStart before
  // anything else.
  static std::unique_ptr<VersionStore> Create(StoreOptions options, MemoryMapper& memory);
  // Created and started empty; no memory for it is Fatal.
  static std::unique_ptr<VersionStore> CreateEmpty(StoreOptions options, MemoryMapper& memory);
  virtual ~VersionStore() = default;

  // --- Starting ---
  // What a former process left says of itself.
  struct Left {
    Revision newest;        // of its last change
    Position compacted_at;  // of the newest compaction that it knew
    uint64_t start_id = 0;  // StoreOptions' of that process
  };
  // Before StartEmpty and Adopt: throws away what was left, at once, when `judge` refuses it, and
  // returns its error. NotFound: nothing was left; DataLoss: it cannot be read. Unavailable: as
  // Adopt.
  virtual absl::Status DiscardUnless(absl::FunctionRef<absl::Status(const Left&)> judge) = 0;
  // Throws away what a former process left, or what was adopted or restored. ResourceExhausted
  // when there is no memory for a start.
  virtual absl::Status StartEmpty() = 0;
  // Continues with what a former process left in memory: everything it had applied up to and
  // including last_change. NotFound: nothing was left; DataLoss: it is not what that process had.
  // After an error StartEmpty is what remains. Cancelled, when `progress` is, and Unavailable, when
  // something is there that could not be opened: everything is still there for a later process, and
  // StartEmpty would throw away what may be the only copy. The verdict and the store are the same
  // however many threads `workers` has.
  virtual absl::Status Adopt(ParallelRunner& workers, LoadProgress& progress) = 0;
  absl::Status Adopt() {
    InlineParallelRunner alone;
    LoadProgress unseen;
    return Adopt(alone, unseen);
  }
  // Fills an empty store from an image that is cut into parts, each above the one before: first
  // BeginRestore, then all of Restore, then FinishRestore. Different parts may be restored on
  // different threads at once. Not entries: no events. After an error StartEmpty is what remains.
  virtual void BeginRestore(size_t parts) = 0;
  // Adds a stored change to a part; ascending. DataLoss when it is not a change of that revision.
  virtual absl::Status Restore(size_t part, RevisionKey revision, bool tombstone,
                               absl::string_view wire) = 0;
  // DataLoss when the parts overlap.
  virtual absl::Status FinishRestore(ParallelRunner& workers, LoadProgress& progress) = 0;
  // After any of these: where the store stands. `last_change` as in StoreStats; of an
  // adopted store the greater one counts.
  struct StartState {
    Revision current = kEmptyStoreRevision;
    Revision compacted = kNeverCompacted;
    Revision last_change{0};
  };
  virtual void FinishStart(const StartState& state) = 0;
  // The keys that a start found alive with a lease, in no order, once. REQUIRES that no entry was
  // begun since.
  virtual void TakeLeased(
      absl::FunctionRef<void(absl::string_view key, LeaseId lease)> visitor) = 0;

  // --- Writing: BeginEntry, any number of Put and Delete in ascending sub, CommitEntry. ---
  virtual void BeginEntry(Revision main) = 0;
  // Returns the version replaced, if the key was alive. Memory running out is Fatal (the budget
  // refuses writes long before).
  virtual std::optional<KeyValue> Put(int64_t sub, absl::string_view key, absl::string_view value,
                                      LeaseId lease) = 0;
  // Returns the deleted version; REQUIRES that the key is alive (effects name only live keys).
  virtual KeyValue Delete(int64_t sub, absl::string_view key) = 0;
  // The entry's events in order, with prev_kv. Valid until ForgetEvents or the next BeginEntry.
  virtual absl::Span<const Event> CommitEntry() = 0;
  // Lets go of the last entry's events: they hold the segments of what that entry replaced.
  virtual void ForgetEvents() = 0;
  // Moves the current revision without changing keys here (entries of other partitions).
  virtual void AdvanceTo(Revision revision) = 0;

  virtual Revision current_revision() const = 0;

  // --- Reading. `at` is kLatest or in [compact_revision, current_revision]: CHECKed; callers ask
  // CheckReadable first. ---
  // OutOfRange with etcd's texts for compacted and future revisions.
  virtual absl::Status CheckReadable(Revision at) const = 0;
  virtual std::optional<KeyValue> Get(absl::string_view key, Revision at) const = 0;
  // Visits live versions in key order until the visitor returns false.
  virtual void Visit(const KeyRangeView& range, Revision at,
                     absl::FunctionRef<bool(const KeyValueView&)> visitor) const = 0;
  // The same, looking at no more than `max_keys` keys, also those that do not live at `at`.
  // Continues from *resume_key (empty: from the start) and leaves the key to continue at there,
  // the one at which the visitor returned false as well (empty: done).
  virtual void VisitStep(const KeyRangeView& range, Revision at, int64_t max_keys,
                         std::string* resume_key,
                         absl::FunctionRef<bool(const KeyValueView&)> visitor) const = 0;
  // A reference that outlives the visit; REQUIRES a view that the running Visit just yielded.
  virtual SharedBytes Share(const KeyValueView& view) const = 0;
  // Number of live keys in the range at `at`, in steps like VisitStep's.
  virtual int64_t CountStep(const KeyRangeView& range, Revision at, int64_t max_keys,
                            std::string* resume_key) const = 0;
  // Whether a key is alive at `at`, which may be compacted already, in such steps; ends with the
  // first one found.
  virtual bool FindLiveStep(Revision at, int64_t max_keys, std::string* resume_key) const = 0;

  // --- History ---
  // Events from `from` on in order, up to and including main `upto`, of keys in `range`: visits
  // stored changes until `max_scanned` were looked at or the visitor returns false. Returns where
  // to continue (main > upto: all seen). `with_prev_kv` looks prev_kv up. REQUIRES from.main >=
  // compact_revision.
  virtual RevisionKey VisitEvents(RevisionKey from, Revision upto, const KeyRangeView& range,
                                  bool with_prev_kv, int64_t max_scanned,
                                  absl::FunctionRef<bool(const Event&)> visitor) const = 0;

  // --- Compaction ---
  virtual Revision compact_revision() const = 0;  // kNeverCompacted before the first
  // Reads below `revision` fail from now on, by the entry at `position`. REQUIRES compact_revision
  // < revision <= current (also 0 on a never compacted store).
  virtual void Compact(Revision revision, Position position) = 0;
  // Where there is no journal.
  void Compact(Revision revision) { Compact(revision, Position(0)); }
  // Frees memory of versions that no read at the compact revision, or at `up_to` where that is
  // lower, needs, in a step of about `max_versions`; returns true while there is more to do. Where
  // there is no room for moving records, segments stay sparse until it is called again.
  virtual bool CompactStep(int64_t max_versions, Revision up_to) = 0;

  // --- Images ---
  // Every stored change from `from` on, at most `max_records`. Returns where to continue (main >
  // current: all seen). Between two calls nothing may be removed or cleaned (CompactStep).
  virtual RevisionKey VisitStored(RevisionKey from, int64_t max_records,
                                  absl::FunctionRef<void(StoredRecord)> visitor) const = 0;
  // From now on, which stored changes with main <= `bound` are removed is remembered, up to
  // `limit` of them. Returns what was remembered until now, for the caller to free where that holds
  // up nobody.
  virtual std::deque<RevisionKey> TrackRemovals(Revision bound, size_t limit) = 0;
  // Those since TrackRemovals, in the order of removal; nullptr when there were more, or nobody
  // tracked. There may be millions: looked at and taken without touching each.
  struct TrackedRemovals {
    std::deque<RevisionKey> revisions;
    uint64_t hash = 0;  // their part of StoreStats::stored_hash
  };
  virtual const TrackedRemovals* Removals() const = 0;
  // REQUIRES Removals() != nullptr. Nothing is tracked any more.
  virtual std::deque<RevisionKey> TakeRemovals() = 0;
  // What a stored change adds to stored_hash.
  static uint64_t HashOf(RevisionKey revision, bool tombstone, absl::string_view wire);

  // --- Hashing (contract 5.3) ---
  struct HashItem {
    RevisionKey revision;
    bool tombstone = false;
    SharedBytes value;  // wire KeyValue as etcd stores it (a tombstone: only field 1)
  };
  struct HashSpec {
    Revision at{0};
    Revision compacted{0};  // the compact revision to reckon with
    // No key of the whole key space, all stores, is alive at `at`. etcd's quirk: what is dead
    // counts then.
    bool nothing_lives = false;
  };
  // The stored changes that count for HashKV of `spec`, in revision order, starting at `from`;
  // looks at no more than `max_scanned`, and ends early behind kHashStepBytes of values. Returns
  // where to continue (main > at: done). REQUIRES that nothing above spec.compacted was removed
  // yet: CompactSteps until then were bounded by it.
  static constexpr size_t kHashStepBytes = 256 << 10;
  virtual RevisionKey VisitForHash(RevisionKey from, const HashSpec& spec, int64_t max_scanned,
                                   absl::FunctionRef<void(HashItem)> visitor) const = 0;

  virtual StoreStats stats() const = 0;
  // Walks everything and CHECKs the structure; for tests and the simulator.
  virtual void CheckInvariants() const = 0;
};

}  // namespace tidemark::mvcc
