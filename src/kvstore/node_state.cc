#include "src/kvstore/node_state.h"

#include <algorithm>

#include "proto/checkpoint.pb.h"
#include "src/base/failpoint.h"

namespace tidemark::kvstore {

std::string EncodeImageState(ImageState state) {
  std::sort(state.node.leases.begin(), state.node.leases.end(),
            [](const LeaseState& a, const LeaseState& b) { return a.id < b.id; });
  CheckpointNodeState message;
  message.set_partition_map(state.partition_map);
  message.set_last_change(state.last_change.value());
  message.set_stored_hash(state.stored_hash);
  for (const LeaseState& lease : state.node.leases) {
    CheckpointLease* out = message.add_leases();
    out->set_id(lease.id.value());
    out->set_ttl_seconds(lease.ttl_seconds);
    out->set_remaining_seconds(lease.remaining_seconds);
  }
  for (const auto& [member_id, type] : state.node.alarms) {
    CheckpointAlarm* out = message.add_alarms();
    out->set_member_id(member_id);
    out->set_type(type);
  }
  return message.SerializeAsString();
}

absl::StatusOr<ImageState> DecodeImageState(absl::string_view bytes) {
  CheckpointNodeState message;
  if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return absl::DataLossError("the checkpoint's node state cannot be decoded");
  }
  ImageState state;
  state.partition_map = message.partition_map();
  state.last_change = Revision(message.last_change());
  state.stored_hash = message.stored_hash();
  LeaseId last{0};
  for (const CheckpointLease& lease : message.leases()) {
    const LeaseState out{LeaseId(lease.id()), lease.ttl_seconds(), lease.remaining_seconds()};
    const bool in_order = state.node.leases.empty() ? out.id != LeaseId(0) : out.id > last;
    const bool is_ordered = in_order || PLANTED_BUG("checkpoint_lease_order_unchecked");
    if (!is_ordered || out.ttl_seconds <= 0 || out.remaining_seconds <= 0 ||
        out.remaining_seconds > out.ttl_seconds) {
      return absl::DataLossError("the checkpoint holds a lease that cannot be");
    }
    last = out.id;
    state.node.leases.push_back(out);
  }
  for (const CheckpointAlarm& alarm : message.alarms()) {
    state.node.alarms.emplace(alarm.member_id(), alarm.type());
  }
  return state;
}

}  // namespace tidemark::kvstore
