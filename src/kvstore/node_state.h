// What every partition knows of the whole node, and a checkpoint has to keep: leases and alarms.
//
// Values; pure functions. Decoding treats its input as hostile.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "src/base/ids.h"

namespace tidemark::kvstore {

struct LeaseState {
  LeaseId id;
  int64_t ttl_seconds = 0;
  int64_t remaining_seconds = 0;  // as the journal knows it; the full TTL unless it was told less
  friend bool operator==(const LeaseState&, const LeaseState&) = default;
};

// Active alarms: member, etcd's AlarmType.
using AlarmSet = absl::btree_set<std::pair<uint64_t, int32_t>>;

struct NodeState {
  std::vector<LeaseState> leases;  // of a decoded one by ascending id
  AlarmSet alarms;
  friend bool operator==(const NodeState&, const NodeState&) = default;
};

// The rest of an image, carried by CheckpointHeader::node_state.
struct ImageState {
  NodeState node;
  std::string partition_map;
  Revision last_change{0};   // mvcc::StoreStats
  uint64_t stored_hash = 0;  // mvcc::StoreStats
};

// Takes long where there are many leases.
std::string EncodeImageState(ImageState state);
// DataLoss.
absl::StatusOr<ImageState> DecodeImageState(absl::string_view bytes);

}  // namespace tidemark::kvstore
