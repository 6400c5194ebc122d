// Payloads of entries: what decodes is what the writer writes.
#include "src/kvstore/effects.h"
#include "tests/fuzz/fuzz_target.h"

namespace tidemark::kvstore {
namespace {

std::string Encode(PartitionId partition, const DecodedEffects& effects) {
  EffectsWriter writer;
  std::vector<KeyChange> changes;
  for (const KeyChangeView& view : effects.changes) {
    KeyChange change;
    change.is_delete = view.is_delete;
    change.key = std::string(view.key);
    change.value = std::string(view.value);
    change.lease = view.lease;
    change.sub = view.sub;
    changes.push_back(std::move(change));
  }
  if (!changes.empty()) writer.AddKeyChanges(partition, changes);
  for (const NodeEffect& effect : effects.node_effects) {
    switch (effect.kind) {
      case NodeEffect::Kind::kLeaseGrant:
        writer.AddLeaseGrant({effect.lease, effect.ttl_seconds});
        break;
      case NodeEffect::Kind::kLeaseRevoke:
        writer.AddLeaseRevoke(effect.lease);
        break;
      case NodeEffect::Kind::kLeaseRemaining:
        writer.AddLeaseRemaining(effect.remaining);
        break;
      case NodeEffect::Kind::kCompaction:
        writer.AddCompaction(effect.compaction);
        break;
      case NodeEffect::Kind::kAlarm:
        writer.AddAlarm(effect.alarm);
        break;
    }
  }
  return std::move(writer).Take();
}

bool Same(const KeyChangeView& a, const KeyChangeView& b) {
  return a.sub == b.sub && a.is_delete == b.is_delete && a.lease == b.lease && a.key == b.key &&
         a.value == b.value;
}

}  // namespace

FUZZ_TARGET(effects) {
  fuzz::Input in(input);
  const PartitionId partition(in.Byte());
  absl::StatusOr<DecodedEffects> decoded = DecodeEffects(in.rest(), partition);
  if (!decoded.ok()) {
    CHECK(absl::IsInvalidArgument(decoded.status()));
    return;
  }
  const std::string encoded = Encode(partition, *decoded);
  absl::StatusOr<DecodedEffects> again = DecodeEffects(encoded, partition);
  CHECK_MSG(again.ok(), again.status().ToString());
  CHECK(again->changes.size() == decoded->changes.size());
  for (size_t i = 0; i < again->changes.size(); ++i) {
    CHECK(Same(again->changes[i], decoded->changes[i]));
    CHECK(!again->changes[i].key.empty());
  }
  CHECK(again->node_effects.size() == decoded->node_effects.size());
  CHECK(Encode(partition, *again) == encoded);
}

}  // namespace tidemark::kvstore
