// Brings a partition's replica to where the journal goes on: from the memory that a former process
// left (warm), from its checkpoint (cold), or from nothing.
//
// Hides which of them is to be had and believed. What is refused is thrown away and never served;
// what cannot be replaced (a damaged checkpoint over a trimmed journal) is an error that tells the
// operator what to do. docs/design-notes.md, "Starting".
// Bound to the replica's sequence.
//
// Invariants:
//  1. S4, S6: whichever way it starts, the state at the journal's tail is the same.
//  2. Memory ahead of the journal, or behind the checkpoint, is not of this data: it is refused.
#pragma once

#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
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
    bool has_image = false;  // a checkpoint stands behind it
  };
  using Done = absl::AnyInvocable<void(absl::StatusOr<Started>)>;

  // `checkpoints` may be null: there are none.
  ReplicaStarter(kvstore::Replica& replica, std::string name,
                 const kvstore::CheckpointStore* checkpoints, std::string partition_map)
      : replica_(replica),
        name_(std::move(name)),
        checkpoints_(checkpoints),
        partition_map_(std::move(partition_map)) {}

  // Loads in steps; `done` runs on the replica's sequence.
  void Start(const Journal& journal, Done done);

 private:
  absl::Status ReadHeader();
  absl::Status CheckHeader() const;
  bool TryWarm();
  void StartCold();
  void LoadStep();
  absl::Status LoadRecords(int64_t max_records, bool* finished);
  absl::Status CheckLoaded() const;
  void GiveUpCheckpoint(const absl::Status& why);
  void StartEmpty();
  void Finish(Way way);
  void Fail(const absl::Status& status);
  absl::Status Named(const absl::Status& status) const;

  kvstore::Replica& replica_;
  const std::string name_;
  const kvstore::CheckpointStore* const checkpoints_;
  const std::string partition_map_;

  Journal journal_;
  Done done_;
  std::optional<kvstore::CheckpointHeader> header_;
  kvstore::ImageState image_;
  std::unique_ptr<kvstore::CheckpointReader> reader_;
};

}  // namespace tidemark::partition
