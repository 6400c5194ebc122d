// Makes the partitions' checkpoints, one after the other, and trims the journal behind them.
//
// Hides when one is due, whether it is a whole one or an increment, and the walk: the partition's
// sequence gives references to stored bytes in bounded steps, a thread of its own writes them, at a
// pace that leaves the disk to the journal's syncs.
// Lives on the home sequence. docs/design-notes.md, "Checkpoints".
//
// Invariants:
//  1. J9: the journal is trimmed only behind the oldest of the newest checkpoints of all
//     partitions, each read back from the disk and committed.
//  2. One step of records is on its way at a time, of one partition.
//  3. A store that cannot be made durable any more (a failed sync) ends the process.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "src/base/clock.h"
#include "src/base/executor.h"
#include "src/kvstore/checkpoint/checkpoint_store.h"
#include "src/partition/parts.h"

namespace tidemark::partition {

struct CheckpointPolicy {
  // A round begins when the journal holds this much (and a quarter of it was written since the
  // last round of this process),
  uint64_t journal_bytes = uint64_t{1} << 30;
  // or so long after the last one if anything was appended since.
  absl::Duration interval = absl::Minutes(10);
  absl::Duration poll_interval = absl::Seconds(1);
  // An increment is made when it writes less than this share of all records.
  int whole_from_percent = 50;
  // A whole one is made when increments waste more than the records' size and this.
  uint64_t wasted_bytes_max = uint64_t{64} << 20;
  // Or when so many were made since: each is a file to open, and of a quiet partition they waste
  // too little to be noticed.
  int increments_max = 32;
  size_t tracked_removals_max = size_t{4} << 20;
  int64_t records_per_step = 256;
  // After each step the disk is left to others for this part of the time that it took, unless the
  // journal grows to twice its bound meanwhile.
  int rest_percent = 100;
};

// Figures that any thread may read.
struct CheckpointStats {
  std::atomic<int64_t> rounds{0};
  std::atomic<int64_t> whole{0};
  std::atomic<int64_t> increments{0};
  std::atomic<int64_t> failures{0};
  std::atomic<int64_t> bytes_written{0};
  std::atomic<int64_t> last_duration_ms{0};  // of the last round
  std::atomic<int64_t> oldest_position{0};   // of the newest checkpoints
};

class Checkpointer {
 public:
  struct Doors {
    const Parts& parts;
    kvstore::CheckpointStore& checkpoints;
    journal::Journal& journal;
    std::function<uint64_t()> journal_bytes;  // that it holds; any thread
    Executor& home;
    const Clock& clock;
    BlockingRunner& disk;
  };

  Checkpointer(CheckpointPolicy policy, Doors doors, std::string partition_map);
  ~Checkpointer();

  // Home. From now on rounds are made. `good`: partitions whose newest checkpoint, of a former
  // process, is not known to be damaged.
  void Start(const std::set<PartitionId>& good);
  void Stop();
  const CheckpointStats& stats() const { return stats_; }

 private:
  struct Walk;

  // What the newest checkpoint of a partition was made from, by this process.
  struct Base {
    Position position;
    int64_t records = 0;
    uint64_t stored_hash = 0;
    Revision revision;
    int increments = 0;  // since the last whole one
  };

  void ArmPoll();
  void Poll();
  bool IsDue() const;
  bool IsLate() const;
  void NextPartition();
  void FinishRound();
  void Trim();

  // The walk of one partition: on its sequence, and on the disk's thread.
  void Begin(std::shared_ptr<Walk> walk);
  void Plan(Walk* walk) const;
  void CollectStep(std::shared_ptr<Walk> walk);
  void EndImage(Walk* walk) const;
  void WriteStep(const std::shared_ptr<Walk>& walk);
  void Commit(const std::shared_ptr<Walk>& walk);
  void End(std::shared_ptr<Walk> walk, absl::Status status);
  void OnEnded(const Walk& walk, const absl::Status& status);
  void CollectLater(std::shared_ptr<Walk> walk, absl::Duration worked);
  void OnDisk(std::shared_ptr<Walk> walk, void (Checkpointer::*step)(const std::shared_ptr<Walk>&));

  const CheckpointPolicy policy_;
  const Doors doors_;
  const std::string partition_map_;
  CheckpointStats stats_;
  std::shared_ptr<std::atomic<bool>> alive_ = std::make_shared<std::atomic<bool>>(true);

  std::shared_ptr<Walk> walk_;  // the one on its way
  bool running_ = false;
  bool stopped_ = false;
  TimerId timer_ = 0;
  absl::Duration last_round_;
  uint64_t left_bytes_ = 0;  // the least that the journal held since the last round; 0: none yet
  Position last_round_position_;
  std::vector<PartitionId> waiting_;  // of this round, the next one last
  std::map<PartitionId, Base> bases_;
  // Newest checkpoints that count as good: made by a former process and not known to be damaged, or
  // read back and committed by this one.
  std::map<PartitionId, Position> good_;
};

}  // namespace tidemark::partition
