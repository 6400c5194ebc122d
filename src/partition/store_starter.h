// Brings a store's partitions from what is left of them to the journal's tail and into service,
// each as soon as it is whole (docs/design-notes.md, "Starting", "Serving early").
//
// Hides the order: tail, loading, replay, partition map, claim; and which partition has got how
// far. Sequence-bound to home (the system partition's executor), except where "any thread" is said;
// callbacks run there.
//
// Invariants:
//  1. A partition is told whole once: loaded, replayed up to the tail that was confirmed at the
//     beginning, and its claim applied, which is behind everything that was ordered before.
//  2. No partition is claimed before the partition map is known to be in the journal.
//  3. Once some partition serves, nothing ends the start that passes by itself; before, only what
//     does not pass for a while.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "src/base/parallel_runner.h"
#include "src/partition/feed.h"
#include "src/partition/local_store.h"
#include "src/partition/map_entry.h"
#include "src/partition/parts.h"
#include "src/partition/replica_starter.h"
#include "src/partition/start_progress.h"

namespace tidemark::partition {

class StoreStarter {
 public:
  struct Observer {
    std::function<void()> on_loading;  // the tail is known
    std::function<void(PartitionId, Epoch)> on_whole;
    absl::AnyInvocable<void(absl::Status)> on_end;  // once: all are whole, or the start has failed
  };
  StoreStarter(const LocalStoreOptions& options, const LocalStoreDoors& doors, const Parts& parts);
  ~StoreStarter() { alive_->store(false); }

  // Any thread.
  void Start(Observer observer);
  // Any thread: ends loading and feeding, also after the start.
  void Stop();

  // What the partitions that are not whole may still take, about.
  int64_t BytesToLoad() const;
  // Those whose newest checkpoint was found good, once the start has ended.
  const std::set<PartitionId>& good_checkpoints() const { return good_checkpoints_; }

 private:
  void OnTail(absl::StatusOr<journal::Tail> tail);
  void LoadFeed(Feed& feed);
  void OnLoaded(Feed& feed, PartitionId id, const ReplicaStarter::Started& started);
  void OnReplayed(PartitionId id, bool map_seen);
  void WriteMap();
  void Claim(PartitionId id);
  void OnClaimRefused(PartitionId id, const absl::Status& status);
  void OnClaimed(PartitionId id, Epoch epoch);
  void OnAllWhole();
  void Fail(absl::Status status);  // any thread
  void LogProgress();
  Position SlowestApplied() const;
  Executor& home() const { return *doors_.executors.front(); }
  bool ended() const { return observer_.on_end == nullptr || stopped_; }

  const LocalStoreOptions& options_;
  const LocalStoreDoors& doors_;
  const Parts& parts_;
  const std::shared_ptr<std::atomic<bool>> alive_ = std::make_shared<std::atomic<bool>>(true);
  InlineParallelRunner alone_;
  StartProgress progress_;
  std::vector<std::unique_ptr<Feed>> feeds_;
  std::map<PartitionId, std::unique_ptr<ReplicaStarter>> starters_;  // each on its own sequence

  Observer observer_;
  journal::Tail tail_;  // immutable once loading
  absl::Duration began_;
  std::map<PartitionId, int64_t> bytes_to_load_;  // of those that are not whole
  std::set<PartitionId> good_checkpoints_;
  size_t loaded_ = 0;
  Position replay_from_{UINT64_MAX};
  MapEntry map_entry_;
  bool writing_map_ = false;
  std::vector<PartitionId> waiting_for_map_;
  std::map<PartitionId, absl::Duration> refused_since_;  // whose claims are made again
  TimerId progress_timer_ = 0;
  std::atomic<bool> stopped_{false};
};

}  // namespace tidemark::partition
