// Applies data entries to the store, the leases and the watchers of one partition.
//
// Hides the order inside an entry: key changes by sub, with the reads of a waiting request taken
// between them, then node-wide effects, then the events. Judges nothing: what an entry says is
// done, or the process stops.
// Sequence-bound.
//
// Invariants:
//  1. State after an entry depends only on the state before and the entry's bytes (S1): whether
//     somebody waits for results changes nothing.
#pragma once

#include <vector>

#include "src/journal/journal.h"
#include "src/kvstore/effects.h"
#include "src/kvstore/evaluator.h"
#include "src/kvstore/lease_table.h"
#include "src/kvstore/node_state.h"
#include "src/kvstore/replica.h"
#include "src/mvcc/version_store.h"
#include "src/mvcc/watch_set.h"

namespace tidemark::kvstore {

class Applier {
 public:
  struct Targets {
    PartitionId partition;
    mvcc::VersionStore& store;
    mvcc::WatchSet& watches;
    LeaseTable& leases;
    AlarmSet& alarms;
    ApplyObserver* observer;  // nullptr: nobody listens
  };
  explicit Applier(Targets targets) : to_(targets) {}

  // Key changes up to here are in the store already (it was adopted): only the rest of such an
  // entry is applied.
  void SetKnown(Revision known) { known_ = known; }
  Revision known() const { return known_; }

  // What the entry did here, for counters.
  struct Outcome {
    int64_t puts = 0;
    int64_t put_bytes = 0;
    int64_t deletes = 0;
    bool compacted = false;
    std::vector<OpResult> results;  // one per step of `answer`
  };
  // REQUIRES that `entry` follows everything applied before. `answer` (may be null) belongs to the
  // request that this entry came from. An entry without changes here only moves the revision.
  Outcome Apply(const journal::Entry& entry, PlannedAnswer* answer);

 private:
  Revision RevisionBefore(const journal::Entry& entry) const;
  void ApplyPlain(const KeyChangeView& change, Outcome* outcome);
  mvcc::KeyValue ApplyDelete(const KeyChangeView& change, Outcome* outcome);
  std::optional<mvcc::KeyValue> ApplyPut(const KeyChangeView& change, Outcome* outcome);
  void ApplyAnswering(const journal::Entry& entry, absl::Span<const KeyChangeView> changes,
                      PlannedAnswer* answer, Outcome* outcome);
  OpResult RunStep(PlannedAnswer::Step* step, absl::Span<const KeyChangeView> changes,
                   Outcome* outcome);
  void ApplyNodeEffect(const NodeEffect& effect, Position position, Outcome* outcome);

  const Targets to_;
  Revision known_{0};
};

}  // namespace tidemark::kvstore
