#include "src/inspect/entry_counts.h"

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "src/kvstore/effects.h"
#include "src/partition/map_entry.h"

namespace tidemark::inspect {
namespace {

const char* NameOf(kvstore::NodeEffect::Kind kind) {
  using Kind = kvstore::NodeEffect::Kind;
  switch (kind) {
    case Kind::kLeaseGrant:
      return "lease_grants";
    case Kind::kLeaseRevoke:
      return "lease_revokes";
    case Kind::kLeaseRemaining:
      return "lease_remaining_times";
    case Kind::kCompaction:
      return "compactions";
    case Kind::kAlarm:
      return "alarms";
  }
  return "";
}

}  // namespace

absl::Status EntryCounts::Add(const journal::Entry& entry) {
  if (!first_revision_.has_value()) first_revision_ = entry.revision;
  if (entry.changes_keys) ++changing_keys_;
  payload_bytes_ += entry.payload.size();
  for (const journal::PartitionEpoch& named : entry.partitions) ++partitions_[named.partition];
  switch (entry.kind) {
    case journal::EntryKind::kClaim:
      ++claims_;
      return absl::OkStatus();
    case journal::EntryKind::kData:
      ++data_;
      return AddEffects(entry);
  }
  return absl::OkStatus();
}

absl::Status EntryCounts::AddEffects(const journal::Entry& entry) {
  bool is_first = true;
  for (const journal::PartitionEpoch& named : entry.partitions) {
    if (named.partition == partition::MapEntry::kPartition) {
      partition_map_ = absl::CHexEscape(entry.payload);
      continue;
    }
    absl::StatusOr<kvstore::DecodedEffects> effects =
        kvstore::DecodeEffects(entry.payload, named.partition);
    if (!effects.ok()) {
      return absl::DataLossError(
          absl::StrCat("entry ", entry.position.value(), ": ", effects.status().message()));
    }
    if (!effects->changes.empty() && !entry.changes_keys) {
      return absl::DataLossError(
          absl::StrCat("entry ", entry.position.value(), " changes keys but does not say so"));
    }
    for (const kvstore::KeyChangeView& change : effects->changes) {
      ++effects_[change.is_delete ? "deletes" : "puts"];
    }
    // The same for every partition named.
    if (!std::exchange(is_first, false)) continue;
    for (const kvstore::NodeEffect& effect : effects->node_effects) ++effects_[NameOf(effect.kind)];
  }
  return absl::OkStatus();
}

uint64_t EntryCounts::of_partition(PartitionId partition) const {
  auto found = partitions_.find(partition);
  return found == partitions_.end() ? 0 : found->second;
}

nlohmann::ordered_json EntryCounts::ToJson() const {
  nlohmann::ordered_json json = {{"data", data_},
                                 {"claims", claims_},
                                 {"changing_keys", changing_keys_},
                                 {"payload_bytes", payload_bytes_}};
  for (const auto& [name, count] : effects_) json[name] = count;
  return json;
}

}  // namespace tidemark::inspect
