// Checkpoints in memory that survive the simulated process: own it outside the node.
//
// The same contract and the same bytes (record_codec.h) as the store on RocksDB, with faults to
// order. Bound to the simulator's one thread; it must outlive its writers and readers.
//
// A crash is ProcessDied(): writers of before can do nothing any more, what was committed stays.
// Fail points in Commit, in this order, at which a simulated crash may be thrown:
//   checkpoint.built          nothing happened yet
//   checkpoint.before_ingest  nothing happened yet
//   checkpoint.after_ingest   the new checkpoint is the newest
//   checkpoint.after_drop     the old one is gone
// Same calls, same bytes: nothing is drawn.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "src/kvstore/checkpoint/checkpoint_rules.h"
#include "src/kvstore/checkpoint/checkpoint_store.h"
#include "src/kvstore/checkpoint/record_codec.h"

namespace tidemark::sim {

class MemoryCheckpointStore : public kvstore::CheckpointStore {
 public:
  explicit MemoryCheckpointStore(uint64_t store) : store_(store) {}

  std::vector<PartitionId> Partitions() const override;
  absl::StatusOr<std::optional<kvstore::CheckpointHeader>> Newest(
      PartitionId partition) const override;
  absl::Status KnownDamage(PartitionId partition) const override;
  absl::StatusOr<std::unique_ptr<kvstore::CheckpointReader>> ReadPart(
      PartitionId partition, const kvstore::CheckpointPart& part) const override;
  std::vector<kvstore::CheckpointPart> Cut(PartitionId partition, size_t parts_max) const override;
  absl::StatusOr<std::unique_ptr<kvstore::CheckpointWriter>> BeginWhole(
      PartitionId partition) override;
  absl::StatusOr<std::unique_ptr<kvstore::CheckpointWriter>> BeginIncrement(PartitionId partition,
                                                                            Position base) override;
  void Hurry(bool hurries) override { hurries_ = hurries; }
  uint64_t DiskBytes(PartitionId partition) const override;
  uint64_t TotalDiskBytes() const override;
  bool is_broken() const override { return is_broken_; }

  bool hurries() const { return hurries_; }

  // The process ends and a new one opens the store: broken no more, no writer is left.
  void ProcessDied();

  // Faults; they last until ClearFaults.
  // So many Remove and Add calls still find space.
  void FailAddsAfter(int64_t calls) { adds_left_ = calls; }
  enum class CommitFault {
    kNone,
    kNoSpace,         // refused, nothing changed
    kDamage,          // DataLoss, nothing changed
    kIoError,         // Internal; broken until ProcessDied, which shows the old checkpoint
    kIoErrorDurable,  // Internal; broken until ProcessDied, which shows the new checkpoint
  };
  void FailCommits(CommitFault fault) { commit_fault_ = fault; }
  void ClearFaults();

  // Damage at rest. NotFound, OutOfRange. `record` counts from 0; `offset` runs over key and value.
  absl::Status FlipRecordBit(PartitionId partition, size_t record, size_t offset, int bit);
  absl::Status FlipHeaderBit(PartitionId partition, size_t offset, int bit);
  absl::Status LoseRecord(PartitionId partition, size_t record);

 private:
  class Writer;
  class Reader;
  using Row = std::shared_ptr<const std::string>;
  using Rows = std::map<std::string, Row>;  // by encoded key
  struct Checkpoint {
    std::string header;  // encoded
    std::shared_ptr<const Rows> rows;
    bool is_damaged = false;  // a record; opening finds it
  };
  struct Partition {
    std::optional<Checkpoint> newest;
    std::optional<Checkpoint> after_restart;  // of kIoErrorDurable
    bool has_writer = false;
    uint64_t next_generation = 1;
  };

  const Checkpoint* NewestOf(PartitionId partition) const;
  absl::StatusOr<std::unique_ptr<kvstore::CheckpointWriter>> Begin(PartitionId partition,
                                                                   std::optional<Position> base);
  absl::Status Publish(PartitionId partition, Checkpoint checkpoint);
  absl::StatusOr<Rows> RowsToDamage(PartitionId partition, size_t record) const;

  const uint64_t store_;
  std::map<PartitionId, Partition> partitions_;
  uint64_t incarnation_ = 0;
  bool is_broken_ = false;
  bool hurries_ = false;
  int64_t adds_left_ = std::numeric_limits<int64_t>::max();
  CommitFault commit_fault_ = CommitFault::kNone;
};

}  // namespace tidemark::sim
