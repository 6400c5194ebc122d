// What the entries of a journal do: kinds, partitions, effects.
//
// Every payload is decoded the way replicas decode it. Used by one thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "nlohmann/json.hpp"
#include "src/journal/journal.h"

namespace tidemark::inspect {

class EntryCounts {
 public:
  // DataLoss for what a replica could not apply.
  absl::Status Add(const journal::Entry& entry);

  std::optional<Revision> first_revision() const { return first_revision_; }
  nlohmann::ordered_json ToJson() const;
  // Entries that named the partition.
  uint64_t of_partition(PartitionId partition) const;
  const std::string& partition_map() const { return partition_map_; }

 private:
  absl::Status AddEffects(const journal::Entry& entry);

  uint64_t data_ = 0;
  uint64_t claims_ = 0;
  uint64_t changing_keys_ = 0;
  uint64_t payload_bytes_ = 0;
  std::map<std::string, uint64_t> effects_;  // by name
  std::map<PartitionId, uint64_t> partitions_;
  std::optional<Revision> first_revision_;
  std::string partition_map_;
};

}  // namespace tidemark::inspect
