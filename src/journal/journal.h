// The journal as everyone else sees it: one total order of opaque entries.
//
// Hides who orders and where the bytes lie: embedded (one voter in this process), later Raft over
// three zones or a remote journal over gRPC. Knows nothing of keys.
// Thread-safe: every method may be called from any thread; callbacks run on the journal's own
// sequence (or inline where said) and must only hand over.
//
// Invariants:
//  1. Positions are dense from 1. revision(entry) = revision(previous) + (changes_keys ? 1 : 0);
//     before the first entry it is kEmptyStoreRevision.
//  2. An append succeeds only when a quorum's disks have it, and only if each (partition, epoch)
//     it names is current when it is ordered.
//  3. Appends of one origin are ordered in the sequence sent, without holes, each at most once.
//  4. Batches of one subscription arrive in order, without holes among the asked partitions.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "src/base/ids.h"

namespace tidemark::journal {

struct PartitionEpoch {
  PartitionId partition;
  Epoch epoch;
  friend bool operator==(const PartitionEpoch&, const PartitionEpoch&) = default;
};
using PartitionEpochs = absl::InlinedVector<PartitionEpoch, 1>;

enum class EntryKind : uint8_t {
  kData = 1,   // payload belongs to the partitions it names
  kClaim = 2,  // names one partition; its position becomes that partition's epoch
};

// What a caller appends.
struct Record {
  bool changes_keys = false;
  PartitionEpochs partitions;
  OriginId origin;
  uint64_t origin_number = 0;  // 1, 2, 3, ... per origin; a repeat gets the first one's answer
  std::string payload;
};

// An ordered, durable record. Views live as long as the Batch that holds them.
struct Entry {
  Position position;
  Term term;
  Revision revision;
  EntryKind kind = EntryKind::kData;
  bool changes_keys = false;
  PartitionEpochs partitions;
  OriginId origin;
  uint64_t origin_number = 0;
  absl::string_view payload;
};

// The newest committed entry.
struct Tail {
  Position position;
  Revision revision = kEmptyStoreRevision;
  Term term;
};

struct Placed {
  Position position;
  Revision revision;
};

struct Batch {
  std::vector<Entry> entries;  // those that name a subscribed partition, in order
  Tail tail;                   // everything up to here that concerns the subscriber was delivered
  std::vector<std::shared_ptr<const void>> owners;  // of the payload views
};

// Errors of an append: FailedPrecondition "epoch" (fenced: the caller is no longer the primary),
// ResourceExhausted (no disk space: nothing was written, try again later), Unknown (no disk space,
// and something was written: it is not ordered, and its number is free, but if this process dies
// before another append succeeds, its next life may find it ordered), InvalidArgument (too large),
// DeadlineExceeded (too many appends wait already: not ordered, its number is free), Aborted (hole
// in the origin's numbers), Unavailable (shutting down, no leader).
using AppendCallback = absl::AnyInvocable<void(absl::StatusOr<Placed>)>;
using TailCallback = absl::AnyInvocable<void(absl::StatusOr<Tail>)>;
using ClaimCallback = absl::AnyInvocable<void(absl::StatusOr<Epoch>)>;
// Called on the journal's sequence. May be called with no entries, to move the tail.
using BatchCallback = absl::AnyInvocable<void(std::shared_ptr<const Batch>)>;

// A running delivery; destruction ends it (no callback starts afterwards; it may wait for one that
// runs). The journal keeps at most a bounded number of delivered bytes unacknowledged.
class Subscription {
 public:
  virtual ~Subscription() = default;
  // The subscriber is done with everything up to `position`.
  virtual void Acknowledge(Position position) = 0;
};

class Journal {
 public:
  virtual ~Journal() = default;

  // What an append may carry; a larger one is refused and leaves a hole in its origin's numbers, so
  // whoever appends looks first.
  virtual uint64_t payload_bytes_max() const = 0;

  // `done` runs once the outcome is known. The entry itself also arrives by subscription; a caller
  // that applies it from there may pass a callback that only looks at errors.
  virtual void Append(Record record, AppendCallback done) = 0;

  // Delivers from `from` on, first from the log, then live. Trimmed positions: OutOfRange.
  virtual absl::StatusOr<std::unique_ptr<Subscription>> Subscribe(
      Position from, std::vector<PartitionId> partitions, BatchCallback deliver) = 0;

  // A tail that was confirmed after this call began. May run `done` inline.
  virtual void ConfirmTail(TailCallback done) = 0;

  // Makes the caller's future appends under the returned epoch the only valid ones.
  virtual void Claim(PartitionId partition, OriginId origin, ClaimCallback done) = 0;

  // Entries at or before `position` are needed by nobody any more.
  virtual void Trim(Position position) = 0;
  // Somebody found no space on a disk that the journal may share: what it keeps for later goes.
  virtual void GiveSpaceBack() = 0;

  // The newest tail known here, without confirmation (status, metrics).
  virtual Tail KnownTail() const = 0;
  // The oldest position that Subscribe still takes.
  virtual Position KnownFirst() const = 0;
};

}  // namespace tidemark::journal
