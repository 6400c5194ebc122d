// What every checkpoint store demands of its writers and checks for its readers.
//
// WriterRules: order and counts (CheckpointWriter's comments). ReaderRules: order, counts, end.
// Bound to the writer's or reader's thread; knows nothing of storage.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "src/kvstore/checkpoint/checkpoint_store.h"

namespace tidemark::kvstore {

class WriterRules {
 public:
  // `newest`: what the partition has. REQUIRES it for an increment.
  WriterRules(PartitionId partition, bool is_increment, std::optional<CheckpointHeader> newest);

  // Each is called before the deed, and refuses (InvalidArgument) what breaks the contract.
  absl::Status CheckRemove(mvcc::RevisionKey revision);
  absl::Status CheckAdd(const CheckpointRecord& record);
  absl::Status CheckCommit(const CheckpointHeader& header) const;

  bool is_increment() const { return is_increment_; }

 private:
  absl::Status CheckOrder(mvcc::RevisionKey revision);

  const PartitionId partition_;
  const bool is_increment_;
  const std::optional<CheckpointHeader> newest_;
  std::optional<mvcc::RevisionKey> previous_;
  int64_t removed_ = 0;
  int64_t added_ = 0;
  uint64_t added_bytes_ = 0;
};

class ReaderRules {
 public:
  // REQUIRES: `header` outlives this.
  ReaderRules(const CheckpointHeader& header, const CheckpointPart& part)
      : header_(header), part_(part) {}

  absl::Status Check(const CheckpointRecord& record);
  absl::Status CheckEnd() const;

 private:
  const CheckpointHeader& header_;
  const CheckpointPart part_;
  std::optional<mvcc::RevisionKey> previous_;
  int64_t records_ = 0;
  uint64_t record_bytes_ = 0;
};

// The parts between revisions that cut; ascending, none of them the first possible one.
std::vector<CheckpointPart> PartsBetween(const std::vector<mvcc::RevisionKey>& cuts);

}  // namespace tidemark::kvstore
