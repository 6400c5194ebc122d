// The payload of a data entry: what it does, already decided (DESIGN section 1, "effect").
//
// Hides the encoding: a version byte, then items {kind, length, body}. Changes of keys come in one
// item per partition; the other items concern the whole node. A version or kind that this build
// does not know is an error: skipping one would let replicas diverge.
// Pure functions over bytes; input is treated as hostile. Decoded views point into the payload.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "src/base/ids.h"
#include "src/kvstore/replica.h"

namespace tidemark::kvstore {

struct LeaseRemainingEffect {
  LeaseId id;
  int64_t remaining_seconds = 0;  // 0: back to the full TTL
};
struct LeaseGrantEffect {
  LeaseId id;
  int64_t ttl_seconds = 0;
};
struct AlarmEffect {
  uint64_t member_id = 0;
  int32_t type = 0;
  bool raised = false;
};

// Builds a payload. Key changes are applied first, then the node-wide effects in the order added.
class EffectsWriter {
 public:
  EffectsWriter();
  // At most one call per partition; `changes` in ascending sub.
  void AddKeyChanges(PartitionId partition, absl::Span<const KeyChange> changes);
  void AddLeaseGrant(LeaseGrantEffect grant);
  void AddLeaseRevoke(LeaseId id);
  void AddLeaseRemaining(absl::Span<const LeaseRemainingEffect> leases);
  void AddCompaction(Revision revision);
  void AddAlarm(AlarmEffect alarm);
  std::string Take() && { return std::move(payload_); }

 private:
  std::string payload_;
};

// The same bytes as a writer with one put of sub 0, without the detour over a KeyChange.
std::string EncodeSinglePut(PartitionId partition, absl::string_view key, absl::string_view value,
                            LeaseId lease);

struct KeyChangeView {
  int64_t sub = 0;
  bool is_delete = false;
  LeaseId lease{0};
  absl::string_view key;
  absl::string_view value;
};

struct NodeEffect {
  enum class Kind : uint8_t { kLeaseGrant, kLeaseRevoke, kLeaseRemaining, kCompaction, kAlarm };
  Kind kind = Kind::kLeaseGrant;
  LeaseId lease{0};               // grant, revoke
  int64_t ttl_seconds = 0;        // grant
  Revision compaction{0};         // compaction
  AlarmEffect alarm;              // alarm
  std::vector<LeaseRemainingEffect> remaining;
};

// What a payload holds for one partition: its own key changes, and everything node-wide.
struct DecodedEffects {
  absl::InlinedVector<KeyChangeView, 2> changes;
  std::vector<NodeEffect> node_effects;
};

// InvalidArgument for anything that EffectsWriter could not have written.
absl::StatusOr<DecodedEffects> DecodeEffects(absl::string_view payload, PartitionId partition);

}  // namespace tidemark::kvstore
