#include "tests/sim/truth.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "src/base/check.h"
#include "src/kvstore/effects.h"
#include "src/partition/map_entry.h"

namespace tidemark::sim {

void Truth::Add(const journal::Entry& entry) {
  if (entry.position != last_.Next()) {
    problems_.push_back(
        absl::StrCat("journal: position ", entry.position.value(), " follows ", last_.value()));
  }
  last_ = entry.position;
  if (entry.changes_keys) revision_ = revision_.Next();
  if (entry.revision != revision_) {
    problems_.push_back(absl::StrCat("journal: revision ", entry.revision.value(), " at position ",
                                     entry.position.value(), ", expected ", revision_.value()));
  }
  if (entry.kind != journal::EntryKind::kData) return;
  if (entry.partitions[0].partition == partition::MapEntry::kPartition) return;

  std::vector<std::pair<int64_t, ModelChange>> changes;
  std::vector<int64_t> ended_leases;
  bool first = true;
  for (PartitionId partition : map_.ids()) {
    auto effects = kvstore::DecodeEffects(entry.payload, partition);
    CHECK_MSG(effects.ok(), effects.status().ToString());
    for (const kvstore::KeyChangeView& change : effects->changes) {
      changes.push_back({change.sub, ModelChange{std::string(change.key), change.is_delete,
                                                 std::string(change.value), change.lease.value()}});
    }
    if (!first) continue;  // node-wide effects come with every partition
    first = false;
    for (const kvstore::NodeEffect& effect : effects->node_effects) {
      if (effect.kind == kvstore::NodeEffect::Kind::kLeaseRevoke) {
        ended_leases.push_back(effect.lease.value());
        if (entry.changes_keys) revocations_[revision_.value()] = effect.lease.value();
      } else if (effect.kind == kvstore::NodeEffect::Kind::kCompaction) {
        compactions_.push_back(effect.compaction.value());
      }
    }
  }
  if (entry.changes_keys != !changes.empty()) {
    problems_.push_back(absl::StrCat("journal: entry ", entry.position.value(), " has ",
                                     changes.size(), " changes, changes_keys is ",
                                     entry.changes_keys));
  }
  if (entry.changes_keys) AddChanges(std::move(changes));
  for (int64_t lease : ended_leases) EndLease(lease);
}

void Truth::AddChanges(std::vector<std::pair<int64_t, ModelChange>> changes) {
  std::sort(changes.begin(), changes.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<ModelChange> ordered;
  for (size_t i = 0; i < changes.size(); ++i) {
    if (changes[i].first != static_cast<int64_t>(i)) {
      problems_.push_back(
          absl::StrCat("journal: sub revisions of ", revision_.value(), " are not dense"));
    }
    if (revoked_leases_.count(changes[i].second.lease) != 0) {
      problems_.push_back(absl::StrCat("journal: revision ", revision_.value(), " attaches ",
                                       changes[i].second.key, " to a lease that has ended"));
    }
    ordered.push_back(std::move(changes[i].second));
  }
  model_.Apply(ordered);
}

// A lease takes its keys with it (etcd's promise; nothing would ever delete them otherwise).
void Truth::EndLease(int64_t lease) {
  if (!revoked_leases_.emplace(lease, revision_.value()).second) return;
  const std::string all(1, '\0');
  for (const mvccpb::KeyValue& kv : model_.Range(all, all, revision_.value())) {
    if (kv.lease() != lease) continue;
    problems_.push_back(absl::StrCat("journal: key ", kv.key(), " outlives its lease ", lease,
                                     " at revision ", revision_.value()));
  }
}

}  // namespace tidemark::sim
