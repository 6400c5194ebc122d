// The journal's entries for the partitions of one executor.
//
// Hides the subscriptions: while the node starts, a partition is fed from where its memory or
// checkpoint ends as soon as it is loaded, whatever the others do; once all are whole, one
// subscription serves them all, which costs less (docs/design-notes.md, "Serving early").
// Sequence-bound to the executor.
//
// Invariants:
//  1. Every entry that names a partition is applied to it once, in order; a replica skips what
//     it is delivered again.
//  2. A partition without an image has seen the partition map before any entry of its own.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "src/base/executor.h"
#include "src/journal/journal.h"
#include "src/partition/map_entry.h"
#include "src/partition/parts.h"

namespace tidemark::partition {

class Feed {
 public:
  struct Wiring {
    Executor& executor;
    const Parts& parts;
    journal::Journal& journal;
    std::string map_text;
    std::function<void(absl::Status)> fail;  // the start cannot go on
  };
  // A loaded partition.
  struct Loaded {
    PartitionId id;
    Position next;           // the journal goes on here
    bool has_image = false;  // a checkpoint, made under the same map, stands behind it
  };
  // `map_seen`: the partition map is in the journal, or an image vouches for it.
  using Replayed = absl::AnyInvocable<void(bool map_seen)>;

  explicit Feed(Wiring wiring) : w_(std::move(wiring)) {}

  void AddPartition(PartitionId id) { partitions_.push_back(id); }  // before the others
  const std::vector<PartitionId>& partitions() const { return partitions_; }
  Executor& executor() const { return w_.executor; }

  // Begins to feed it; `replayed` runs on the executor once it has applied `target`.
  void Take(const Loaded& loaded, Position target, Replayed replayed);
  // All partitions of the node are whole.
  void Merge();
  void Stop();

 private:
  struct Group {
    explicit Group(std::string map_text) : map(std::move(map_text)) {}
    std::vector<PartitionId> partitions;
    MapEntry map;
    bool wants_map = false;
    std::map<PartitionId, Revision> compacted;            // by this replay
    std::unique_ptr<journal::Subscription> subscription;  // nullptr: ended
  };
  struct Waiting {
    Loaded loaded;
    Position target;
    Replayed replayed;
  };

  // Each entry is looked at once for each group.
  static constexpr size_t kGroupsMax = 8;

  void StartGroup();
  absl::Status Subscribe(const std::shared_ptr<Group>& group, Position from);
  void Deliver(Group& group, const journal::Batch& batch);
  void Compact(Group& group, kvstore::Replica& replica);

  const Wiring w_;
  std::vector<PartitionId> partitions_;
  size_t taken_ = 0;
  std::vector<Waiting> waiting_;  // for the next group
  std::vector<std::shared_ptr<Group>> groups_;
  bool replaying_ = true;
  bool stopped_ = false;
};

}  // namespace tidemark::partition
