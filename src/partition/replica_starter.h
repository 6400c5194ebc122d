// Brings a partition's replica to where the journal goes on: from the memory that a former process
// left (warm), from its checkpoint (cold), or from nothing.
//
// Hides which of them is to be had and believed, and that the work is done by threads of a pool
// while the replica's sequence is free for others. What is refused is thrown away and never served;
// what cannot be replaced (a damaged checkpoint over a trimmed journal) is an error that tells the
// operator what to do. docs/design-notes.md, "Starting".
// Bound to the replica's sequence. From Start until `done` the replica's store belongs to the pool:
// nothing else may touch it.
//
// Invariants:
//  1. S4, S6: whichever way it starts, the state at the journal's tail is the same, whatever the
//     number of threads.
//  2. Memory ahead of the journal, of another history of it, or behind the checkpoint is not
//     of this data: it is refused.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "src/base/clock.h"
#include "src/base/load_progress.h"
#include "src/base/parallel_runner.h"
#include "src/journal/history.h"
#include "src/kvstore/checkpoint/checkpoint_store.h"
#include "src/kvstore/node_state.h"
#include "src/kvstore/replica.h"

namespace tidemark::partition {

class ReplicaStarter {
 public:
  struct Journal {
    Position first;      // the oldest entry that can be replayed
    journal::Tail tail;  // confirmed
  };
  enum class Way { kEmpty, kWarm, kCold };
  struct Started {
    Way way = Way::kEmpty;
    Position next;           // the journal goes on here
    bool has_image = false;  // a checkpoint stands behind it,
    bool is_good = false;    // of which no damage is known
  };
  using Done = absl::AnyInvocable<void(absl::StatusOr<Started>)>;
  struct Doors {
    kvstore::Replica& replica;
    const kvstore::CheckpointStore* checkpoints = nullptr;  // null: there are none
    ParallelRunner& workers;
    const Clock& clock;
    LoadProgress& progress;  // cancelled: loading ends early, with an error
  };

  ReplicaStarter(Doors doors, std::string name, std::string partition_map)
      : doors_(doors), name_(std::move(name)), partition_map_(std::move(partition_map)) {}

  // Before anything is written to the journal in this life: memory of another history, or that got
  // further than the tail, would no longer be told from this one's once the tail has moved on.
  // Unavailable: it is there and could not be opened.
  absl::Status JudgeMemory(const journal::History& history, const journal::Tail& tail);

  // After JudgeMemory with that tail. `done` runs on the replica's sequence.
  void Start(const Journal& journal, Done done);

 private:
  void LogRefused(const absl::Status& memory) const;
  absl::Status Named(const absl::Status& status) const;

  // On a thread of the pool.
  absl::StatusOr<Way> Load();
  absl::Status ReadHeader();
  absl::Status CheckHeader() const;
  absl::Status Adopt();
  absl::StatusOr<Way> LoadCheckpoint();
  absl::Status LoadParts();
  absl::Status LoadPart(size_t number, const kvstore::CheckpointPart& part);
  absl::Status CheckLoaded() const;
  absl::StatusOr<Way> LoadWithoutCheckpoint(const absl::Status& why);
  absl::StatusOr<Way> LoadNothing();

  // On the sequence.
  void Finish(absl::StatusOr<Way> way);

  const Doors doors_;
  const std::string name_;
  const std::string partition_map_;

  Journal journal_;
  Done done_;
  absl::Duration began_;
  std::optional<kvstore::CheckpointHeader> header_;
  kvstore::ImageState image_;
};

}  // namespace tidemark::partition
