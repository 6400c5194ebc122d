// Starting from an image, and giving one.
#include "src/base/check.h"
#include "src/kvstore/replica_impl.h"

namespace tidemark::kvstore {

void ReplicaImpl::Start(const StartFrom& from) {
  CHECK(!started_);
  started_ = true;
  const Revision adopted = store_->stats().last_change;
  store_->FinishStart({.current = std::max(from.at.revision, adopted),
                       .compacted = from.compacted,
                       .last_change = from.last_change});
  watermark_ = from.at;
  if (adopted > from.at.revision) applier_.SetKnown(adopted);
  for (const LeaseState& lease : from.node.leases) {
    leases_.Grant(lease.id, lease.ttl_seconds);
    leases_.SetRemaining(lease.id, lease.remaining_seconds);
    if (observer_ == nullptr) continue;
    observer_->OnLeaseGranted(lease.id, lease.ttl_seconds);
    observer_->OnLeaseRemaining(lease.id, lease.remaining_seconds);
  }
  alarms_ = from.node.alarms;
  for (const auto& [member_id, type] : alarms_) {
    if (observer_ != nullptr) observer_->OnAlarm(member_id, type, true);
  }
  if (applier_.known() <= from.at.revision) AttachLeases();
  barrier_.OnApplied(watermark_.position);
  PublishStats();
}

// From the state of the keys, once, when all that was known is passed: until then keys may have
// leases that the replay has not granted yet.
void ReplicaImpl::AttachLeases() {
  if (leases_attached_) return;
  leases_attached_ = true;
  store_->TakeLeased(
      [this](absl::string_view key, LeaseId lease) { leases_.Move(key, LeaseId(0), lease); });
}

ReplicaImpl::Image ReplicaImpl::BeginImage() {
  CHECK(started_ && !image_open_ && watermark_.revision >= applier_.known());
  image_open_ = true;
  return {watermark_, store_->compact_revision(), store_->stats(), {leases_.States(), alarms_}};
}

void ReplicaImpl::EndImage() {
  CHECK(image_open_);
  image_open_ = false;
  if (std::exchange(compaction_paused_, false)) PostToSelf([this] { CompactionStep(); });
}

}  // namespace tidemark::kvstore
