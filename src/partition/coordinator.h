// What every operation over several partitions needs: holds, entries for all, a bound
// (docs/design-notes.md, "Holds").
//
// Hides the order in which holds are taken and the epochs that an entry must carry. The operations
// themselves (multi_txn, lease_manager, compaction) are built on it.
// Sequence-bound to home(), the system partition's executor, except where "any thread" is said.
//
// Invariants:
//  1. Holds are taken in ascending partition order, one after another: no deadlock.
//  2. Every hold taken is given back, by Release or by the entry it waits for.
//  3. No more than max_operations run or wait.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "src/base/executor.h"
#include "src/journal/journal.h"
#include "src/kvstore/effects.h"
#include "src/kvstore/replica.h"
#include "src/partition/journal_writer.h"
#include "src/partition/parts.h"

namespace tidemark::partition {

struct Held {
  PartitionId partition;
  kvstore::HoldId hold = 0;
};

class Coordinator {
 public:
  using HoldsCallback = absl::AnyInvocable<void(std::vector<Held>)>;
  using PlacedCallback = absl::AnyInvocable<void(absl::StatusOr<journal::Placed>)>;

  Coordinator(const Parts& parts, journal::Journal& journal,
              std::shared_ptr<mvcc::SegmentRoom> room, OriginId origin, size_t max_operations);

  const Parts& parts() const { return parts_; }
  Executor& home() const { return home_; }
  JournalWriter& writer() { return writer_; }
  const mvcc::SegmentRoom& room() const { return *room_; }
  // For an operation that the journal may answer when the store is gone.
  struct HeldRoom {
    std::shared_ptr<mvcc::SegmentRoom> keeps;
    mvcc::SegmentRoom::Reservation reservation;
  };
  // Empty when there is not enough memory.
  HeldRoom Reserve(int64_t record_bytes) { return {room_, room_->Reserve(record_bytes)}; }

  // After the partition was claimed.
  void SetEpoch(PartitionId id, Epoch epoch) { epochs_.at(id.value()) = epoch; }
  // REQUIRES claimed ones.
  journal::PartitionEpochs EpochsOf(const std::vector<PartitionId>& partitions) const;

  // Any thread: runs `operation` on home(), or answers with a refusal at once (inline). The
  // operation calls `Leave` when it is over.
  absl::Status Enter(absl::AnyInvocable<void()> operation);
  // For work of the node's own that others wait for and that is bounded elsewhere.
  void EnterUnrefused(absl::AnyInvocable<void()> operation);
  void Leave();
  // Any thread.
  void Stop() { stopped_ = true; }

  // `scopes` in ascending partition order.
  void TakeHolds(std::vector<std::pair<PartitionId, kvstore::Scope>> scopes, HoldsCallback done);
  void Release(const std::vector<Held>& held);

  // The newest tail known to this process, not confirmed.
  journal::Tail KnownTail() const { return journal_.KnownTail(); }
  // A tail confirmed from now on, applied by the system partition.
  void Barrier(absl::AnyInvocable<void(absl::StatusOr<journal::Tail>)> done);
  // One entry without key changes for `partitions`; `done` once they all applied it.
  void AppendNodeEffects(std::vector<PartitionId> partitions, kvstore::EffectsWriter effects,
                         PlacedCallback done);

  // Where nothing runs: nothing is held and nothing is on its way.
  void CheckIdle() const;

 private:
  struct Taking;
  void TakeNext(std::shared_ptr<Taking> taking);

  const Parts& parts_;
  journal::Journal& journal_;
  const std::shared_ptr<mvcc::SegmentRoom> room_;
  Executor& home_;
  JournalWriter writer_;
  const size_t max_operations_;
  std::vector<Epoch> epochs_;  // 0: not claimed yet
  std::atomic<size_t> operations_{0};
  std::atomic<bool> stopped_{false};
};

// What a failed append of ours means to a client.
absl::Status AppendRefusal(const absl::Status& status);

}  // namespace tidemark::partition
