// Durable images of partitions: what a cold start loads and what lets the journal be trimmed.
//
// A checkpoint is a partition's retained versions and the journal position they stand for, visible
// as a whole or not at all. Hides where and how they lie (RocksDB: docs/checkpoint-format.md; the
// simulator's: tests/sim/env/memory_checkpoint_store.h). Knows nothing of keys, leases or journals.
// A CheckpointStore is thread-safe. A writer or reader belongs to one thread at a time. All calls
// block on disks.
//
// Status codes, everywhere:
//   ResourceExhausted   no disk space. Nothing changed; discard the writer, try again later.
//   DataLoss            damage: a checksum, an order or a count is wrong. Nothing was served as
//                       right that is not; what the reader gave before may be used for nothing.
//   FailedPrecondition  the call does not fit the state (see each call); at open also: another
//                       process has the directory, it is another store's, or of a newer format.
//   InvalidArgument     the caller broke the order or the counts below: our bug.
//   NotFound            the partition has no checkpoint.
//   Internal            an I/O error. From Commit on it means: nothing can be made durable any
//                       more, the process must end and start again (is_broken()).
//
// Invariants:
//  1. After any crash the newest checkpoint is the last one whose Commit returned OK, or the one
//     whose Commit was running; whole, header and records together.
//  2. Read gives every record of the checkpoint once, ascending, checked, and then its end; or an
//     error. The end is given only when the counts agree with the header. ReadPart gives the same
//     of a part; whoever puts parts together has to compare the sums with the header.
//  3. A reader's checkpoint stays readable while newer ones are committed.
//  4. Newest().at never goes backwards.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "src/base/ids.h"
#include "src/journal/journal.h"
#include "src/mvcc/revision_key.h"

namespace tidemark::kvstore {

// Larger than any value etcd's limits allow, small enough to be held a few times.
inline constexpr size_t kCheckpointRecordBytesMax = size_t{256} << 20;
inline constexpr size_t kCheckpointNodeStateBytesMax = size_t{256} << 20;

struct CheckpointHeader {
  PartitionId partition;
  journal::Tail at;           // the records are the partition's state after this entry
  Revision compact_revision;  // of that state
  uint64_t state_hash = 0;    // opaque here
  int64_t records = 0;        // in the whole checkpoint, not in the increment
  uint64_t record_bytes = 0;  // sum of their wire sizes
  std::string node_state;     // opaque here: leases, alarms, the partition map

  friend bool operator==(const CheckpointHeader& a, const CheckpointHeader& b) {
    return a.partition == b.partition && a.at.position == b.at.position &&
           a.at.revision == b.at.revision && a.at.term == b.at.term &&
           a.compact_revision == b.compact_revision && a.state_hash == b.state_hash &&
           a.records == b.records && a.record_bytes == b.record_bytes &&
           a.node_state == b.node_state;
  }
};

struct CheckpointRecord {
  mvcc::RevisionKey revision;
  bool tombstone = false;
  absl::string_view wire;  // canonical mvccpb.KeyValue
};

// One checkpoint in the making. Destroyed without a successful Commit: its files are removed and
// nothing of it was ever visible. After any error only destruction is left.
// REQUIRES: destroyed before the store.
class CheckpointWriter {
 public:
  virtual ~CheckpointWriter() = default;

  // All Remove calls come before all Add calls; each kind ascends in revision without repeats.
  // Remove: only in an increment, of a record that the base has: it was compacted away. Its main
  // revision is at or below the base's; that of an added one is above it, and not above the new
  // header's.
  virtual absl::Status Remove(mvcc::RevisionKey revision) = 0;
  virtual absl::Status Add(const CheckpointRecord& record) = 0;

  // Durable and visible when it returns OK; once. The header's partition is the writer's; its
  // position and revision are at or after those of the checkpoint that it replaces; `records`
  // agrees with what was added and removed, and in a whole checkpoint so does `record_bytes`.
  // In an increment `record_bytes` cannot be checked here: a wrong one makes Read fail.
  // What was written is read back before: DataLoss when it is not the same, and the checkpoint
  // before stays the newest.
  virtual absl::Status Commit(const CheckpointHeader& header) = 0;

  // Handed to the disk so far: for pacing.
  virtual uint64_t bytes_written() const = 0;
};

// A part of a checkpoint's records: from `from` on, below `to` (nullopt: to the end).
struct CheckpointPart {
  mvcc::RevisionKey from{Revision(0), 0};
  std::optional<mvcc::RevisionKey> to;

  bool Contains(mvcc::RevisionKey revision) const {
    return revision >= from && (!to.has_value() || revision < *to);
  }
  bool is_whole() const { return from == mvcc::RevisionKey{Revision(0), 0} && !to.has_value(); }
};

// Gives the records, ascending in revision. REQUIRES: destroyed before the store.
class CheckpointReader {
 public:
  virtual ~CheckpointReader() = default;

  virtual const CheckpointHeader& header() const = 0;
  // The view is valid until the next call. nullopt: the end, everything was checked. After an
  // error every further call gives that error.
  virtual absl::StatusOr<std::optional<CheckpointRecord>> Next() = 0;
};

class CheckpointStore {
 public:
  virtual ~CheckpointStore() = default;

  // Ascending; those that have a checkpoint.
  virtual std::vector<PartitionId> Partitions() const = 0;
  // Kept in memory: quick. nullopt: none.
  virtual absl::StatusOr<std::optional<CheckpointHeader>> Newest(PartitionId partition) const = 0;
  // DataLoss when opening found the newest damaged; OK proves nothing, only reading does. The
  // header is right all the same.
  virtual absl::Status KnownDamage(PartitionId /*partition*/) const { return absl::OkStatus(); }
  // The newest, or a part of it.
  virtual absl::StatusOr<std::unique_ptr<CheckpointReader>> ReadPart(
      PartitionId partition, const CheckpointPart& part) const = 0;
  absl::StatusOr<std::unique_ptr<CheckpointReader>> Read(PartitionId partition) const {
    return ReadPart(partition, CheckpointPart());
  }
  // Cuts the newest checkpoint into parts of about equal size, at most `parts_max` and as many as
  // are worth a thread's while. Together they hold everything, in order; at least one.
  virtual std::vector<CheckpointPart> Cut(PartitionId partition, size_t parts_max) const = 0;

  // One writer per partition at a time: FailedPrecondition otherwise.
  // A whole checkpoint replaces all that was, and frees the disk space of it.
  virtual absl::StatusOr<std::unique_ptr<CheckpointWriter>> BeginWhole(PartitionId partition) = 0;
  // FailedPrecondition when the newest checkpoint is not at `base`.
  virtual absl::StatusOr<std::unique_ptr<CheckpointWriter>> BeginIncrement(PartitionId partition,
                                                                           Position base) = 0;

  // Any thread: whether checkpoints are waited for, so that the disk may be used as fast as it can.
  virtual void Hurry(bool /*hurries*/) {}
  // Any thread: the process is to end. A Commit that still checks what it wrote ends soon, with
  // Cancelled and nothing changed; so does every later one.
  virtual void Interrupt() {}

  // What the newest checkpoint takes on disk, removed records included until the space is
  // reclaimed: far above header.record_bytes, a whole checkpoint is due. 0: none.
  virtual uint64_t DiskBytes(PartitionId partition) const = 0;
  // Of the directory, with what readers still hold and writers have begun.
  virtual uint64_t TotalDiskBytes() const = 0;

  // An I/O error left in doubt what is durable: every Begin and Commit now fails with Internal.
  // What was committed before stays readable.
  virtual bool is_broken() const = 0;
};

}  // namespace tidemark::kvstore
