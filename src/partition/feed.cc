#include "src/partition/feed.h"

#include <algorithm>
#include <utility>

#include "src/base/check.h"
#include "src/base/failpoint.h"
#include "src/base/log.h"

namespace tidemark::partition {

void Feed::Take(const Loaded& loaded, Position target, Replayed replayed) {
  if (stopped_) return;
  ++taken_;
  waiting_.push_back({loaded, target, std::move(replayed)});
  const size_t least = (partitions_.size() + kGroupsMax - 1) / kGroupsMax;
  if (waiting_.size() >= least || taken_ == partitions_.size()) StartGroup();
}

void Feed::StartGroup() {
  auto group = std::make_shared<Group>(w_.map_text);
  std::vector<Waiting> members = std::exchange(waiting_, {});
  Position from{UINT64_MAX};
  for (const Waiting& member : members) {
    group->partitions.push_back(member.loaded.id);
    group->wants_map |= !member.loaded.has_image;
    from = std::min(from, member.loaded.next);
  }
  if (absl::Status status = Subscribe(group, from); !status.ok()) return w_.fail(status);
  groups_.push_back(group);
  for (Waiting& member : members) {
    kvstore::Replica& replica = w_.parts.replica(member.loaded.id);
    replica.WhenApplied(member.target,
                        [weak = std::weak_ptr<Group>(group), has_image = member.loaded.has_image,
                         replayed = std::move(member.replayed)](journal::Tail) mutable {
                          const std::shared_ptr<Group> alive = weak.lock();
                          replayed(has_image || (alive != nullptr && alive->map.seen()));
                        });
  }
}

absl::Status Feed::Subscribe(const std::shared_ptr<Group>& group, Position from) {
  std::vector<PartitionId> wanted = group->partitions;
  if (group->wants_map) wanted.push_back(MapEntry::kPartition);
  auto subscription =
      w_.journal.Subscribe(from, std::move(wanted),
                           [this, executor = &w_.executor, weak = std::weak_ptr<Group>(group)](
                               std::shared_ptr<const journal::Batch> batch) {
                             executor->Post([this, weak, batch = std::move(batch)] {
                               if (const std::shared_ptr<Group> alive = weak.lock())
                                 Deliver(*alive, *batch);
                             });
                           });
  if (!subscription.ok()) return subscription.status();
  group->subscription = *std::move(subscription);
  return absl::OkStatus();
}

void Feed::Deliver(Group& group, const journal::Batch& batch) {
  if (stopped_ || group.subscription == nullptr) return;
  if (group.wants_map) {
    if (absl::Status status = group.map.Look(batch); !status.ok()) {
      group.subscription = nullptr;  // nothing behind it means what we would take it for
      return w_.fail(std::move(status));
    }
  }
  for (PartitionId id : group.partitions) {
    kvstore::Replica& replica = w_.parts.replica(id);
    replica.Apply(batch);
    w_.parts.hub(id).OnApplied();
    if (replaying_) Compact(group, replica);
  }
  group.subscription->Acknowledge(batch.tail.position);
}

// What the journal compacted once must not pile up while it is read again. Each partition for
// itself: its checkpoint may be far older than another's.
void Feed::Compact(Group& group, kvstore::Replica& replica) {
  const bool as_the_first = PLANTED_BUG("feed_compacts_as_the_first_did");
  kvstore::Replica& judged = as_the_first ? w_.parts.replica(group.partitions.front()) : replica;
  const Revision revision = judged.store().compact_revision();
  Revision& compacted = group.compacted[replica.partition()];
  if (revision <= compacted) return;
  compacted = revision;
  replica.RunCompaction(revision, kvstore::Replica::Pace::kHurry, [] {});
}

// Some are behind others by what is on its way: from the slowest on, the others skip it.
void Feed::Merge() {
  replaying_ = false;
  if (stopped_ || groups_.size() < 2) return;
  auto all = std::make_shared<Group>(w_.map_text);
  all->partitions = partitions_;
  Position slowest{UINT64_MAX};
  Position fastest;
  for (PartitionId id : partitions_) {
    slowest = std::min(slowest, w_.parts.replica(id).watermark().position);
    fastest = std::max(fastest, w_.parts.replica(id).watermark().position);
  }
  const Position applied = PLANTED_BUG("feed_merge_skips") ? fastest : slowest;
  if (absl::Status status = Subscribe(all, applied.Next()); !status.ok()) {
    TLOG(kWarn, "the subscriptions of the start are kept", {{"reason", status.message()}});
    return;
  }
  for (const auto& group : groups_) group->subscription = nullptr;
  groups_ = {std::move(all)};
}

void Feed::Stop() {
  stopped_ = true;
  for (const auto& group : groups_) group->subscription = nullptr;
}

}  // namespace tidemark::partition
