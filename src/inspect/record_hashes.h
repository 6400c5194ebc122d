// The hashes over a checkpoint's records that its header and node state name.
//
// Hides that `state_hash` covers only the newest version of each living key: one entry per such key
// is kept. Records come in ascending revision. Used by one thread.
#pragma once

#include <cstdint>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "src/kvstore/checkpoint/checkpoint_store.h"

namespace tidemark::inspect {

class RecordHashes {
 public:
  // DataLoss when it is no change of its revision.
  absl::Status Add(const kvstore::CheckpointRecord& record);

  uint64_t state_hash() const { return state_hash_; }
  uint64_t stored_hash() const { return stored_hash_; }
  int64_t live_keys() const { return static_cast<int64_t>(newest_.size()); }

 private:
  uint64_t state_hash_ = 0;
  uint64_t stored_hash_ = 0;
  absl::flat_hash_map<std::string, uint64_t> newest_;  // hash of the version, by key
};

}  // namespace tidemark::inspect
