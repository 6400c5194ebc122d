// Keeps data and partition map together: the map that the journal's entries were written under is
// itself the first data entry of the journal.
//
// Hides the partition id that belongs to nobody and carries it. Replicas skip such an entry.
// Sequence-bound.
//
// Invariants:
//  1. No entry of a real partition precedes the map: a store that finds one without a map
//     refuses to start, and so does one that finds another map than it was started with.
#pragma once

#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "src/base/executor.h"
#include "src/journal/journal.h"

namespace tidemark::partition {

class MapEntry {
 public:
  static constexpr PartitionId kPartition{0xffffffff};

  explicit MapEntry(std::string text) : text_(std::move(text)) {}

  // REQUIRES batches in order, subscribed to kPartition too. FailedPrecondition for another map.
  absl::Status Look(const journal::Batch& batch);
  // A checkpoint stands for the entry, which may have been trimmed.
  void SetSeen() { seen_ = true; }
  bool seen() const { return seen_; }
  // Appends this map; `done` runs on home. REQUIRES !seen() after a whole replay.
  void Write(journal::Journal& journal, Executor& home, OriginId origin,
             absl::AnyInvocable<void(absl::Status)> done);

 private:
  const std::string text_;
  bool seen_ = false;
};

}  // namespace tidemark::partition
