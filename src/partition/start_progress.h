// How far a node's start has got, and its lines in the log: loading (memory and checkpoints), then
// the replay of the journal.
//
// Hides the estimate of what remains. Home's sequence, but for Of's results (thread-safe) and
// Cancel.
#pragma once

#include <map>

#include "absl/time/time.h"
#include "src/base/clock.h"
#include "src/base/ids.h"
#include "src/base/load_progress.h"

namespace tidemark::partition {

class StartProgress {
 public:
  explicit StartProgress(const Clock& clock) : clock_(clock) {}

  // All partitions are named before Begin.
  LoadProgress& Of(PartitionId partition) { return partitions_[partition]; }
  void Begin(Position target);
  void LoadedOne() { ++loaded_; }
  void BeginReplay(Position from);
  // One line. `applied`: how far the replay is.
  void Log(Position applied) const;
  // Nobody waits for the start any more. Any thread.
  void Cancel();

  // Of a share that is done after some time.
  static absl::Duration Remaining(absl::Duration elapsed, double share);

 private:
  const Clock& clock_;
  std::map<PartitionId, LoadProgress> partitions_;
  size_t loaded_ = 0;
  absl::Duration began_;
  absl::Duration replay_began_;
  Position replay_from_;
  Position target_;
};

}  // namespace tidemark::partition
