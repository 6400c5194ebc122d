#include "src/kvstore/lessor.h"

#include <algorithm>
#include <utility>

#include "src/base/check.h"
#include "src/base/failpoint.h"
#include "src/kvstore/etcd_errors.h"

namespace tidemark::kvstore {
namespace {

// Up to here the journal's knowledge may lag behind the truth. Clients renew after a third of the
// TTL, so it never hears of a lease that is kept alive; of one that is not it hears once.
int64_t CheckpointLagSeconds(int64_t ttl_seconds) {
  return std::max<int64_t>(ttl_seconds / (PLANTED_BUG("lease_kept_alive_is_journaled") ? 8 : 2), 5);
}

int64_t CeilSeconds(absl::Duration duration) {
  return absl::ToInt64Seconds(absl::Ceil(duration, absl::Seconds(1)));
}

}  // namespace

void Lessor::OnGranted(LeaseId id, int64_t ttl_seconds) {
  CHECK(ttl_seconds > 0);
  CHECK(leases_.Insert(id, {.ttl_seconds = ttl_seconds, .journaled_seconds = ttl_seconds}));
  SetExpiry(id, leases_.Find(id), clock_.Monotonic() + absl::Seconds(ttl_seconds));
}

void Lessor::OnRevoked(LeaseId id) {
  const Lease* lease = leases_.Find(id);
  CHECK(lease != nullptr);
  by_expiry_.erase({lease->listed_at, id});
  by_checkpoint_due_.erase({lease->checkpoint_listed_at, id});
  leases_.Erase(id);
}

void Lessor::OnRemaining(LeaseId id, int64_t remaining_seconds) {
  Lease* const found = leases_.Find(id);
  if (found == nullptr) return;
  Lease& lease = *found;
  // A reset may have been ordered before the checkpoint that is still on its way.
  if (remaining_seconds > 0) lease.being_journaled = false;
  lease.journaled_seconds =
      remaining_seconds > 0 ? std::min(remaining_seconds, lease.ttl_seconds) : lease.ttl_seconds;
  List(by_checkpoint_due_, id, lease.checkpoint_listed_at, CheckpointDueAt(lease));
}

void Lessor::StartServing() {
  CHECK(!serving_);
  serving_ = true;
  const absl::Duration now = clock_.Monotonic();
  leases_.ForEach([&](LeaseId id, Lease& lease) {
    SetExpiry(id, &lease, now + absl::Seconds(lease.journaled_seconds));
  });
}

absl::StatusOr<int64_t> Lessor::TtlToGrant(LeaseId id, int64_t ttl_seconds) const {
  if (ttl_seconds > options_.max_ttl_seconds) return ErrLeaseTtlTooLarge();
  if (id.value() != 0 && Exists(id)) return ErrLeaseExists();
  return std::max(ttl_seconds, options_.min_ttl_seconds);
}

Lessor::Renewal Lessor::Renew(LeaseId id) {
  Lease* const found = leases_.Find(id);
  if (found == nullptr) return Renewal::kUnknown;
  Lease& lease = *found;
  if (IsOver(lease)) return Renewal::kBeingRevoked;
  // The answer promises a full TTL, over a restart too.
  const bool may_be_lowered =
      lease.being_journaled && !PLANTED_BUG("lease_renewed_before_its_checkpoint");
  if (lease.journaled_seconds < lease.ttl_seconds || may_be_lowered) return Renewal::kJournalFirst;
  SetExpiry(id, &lease, clock_.Monotonic() + absl::Seconds(lease.ttl_seconds));
  return Renewal::kRenewed;
}

void Lessor::Extend(LeaseId id) {
  Lease* lease = leases_.Find(id);
  if (lease == nullptr || IsOver(*lease)) return;
  SetExpiry(id, lease, clock_.Monotonic() + absl::Seconds(lease->ttl_seconds));
}

int64_t Lessor::GrantedSeconds(LeaseId id) const {
  const Lease* lease = leases_.Find(id);
  CHECK(lease != nullptr);
  return lease->ttl_seconds;
}

int64_t Lessor::RemainingSeconds(LeaseId id) const {
  const Lease* lease = leases_.Find(id);
  CHECK(lease != nullptr);
  return std::max<int64_t>(0, absl::ToInt64Seconds(Remaining(*lease)));
}

std::vector<LeaseId> Lessor::ByExpiry() const {
  std::vector<std::pair<absl::Duration, LeaseId>> leases;
  leases.reserve(leases_.size());
  for (const auto& [when, id] : by_expiry_) leases.emplace_back(leases_.Find(id)->expires_at, id);
  std::sort(leases.begin(), leases.end());
  std::vector<LeaseId> ids;
  ids.reserve(leases.size());
  for (const auto& [when, id] : leases) ids.push_back(id);
  return ids;
}

std::vector<LeaseId> Lessor::TakeExpired() {
  std::vector<LeaseId> expired;
  if (!serving_) return expired;
  const absl::Duration now = clock_.Monotonic();
  std::vector<LeaseId> moved;
  expiry_moves_left_ = false;
  for (const auto& [when, id] : by_expiry_) {
    if (when > now || expired.size() == options_.max_expired_per_pass) break;
    Lease& lease = *leases_.Find(id);
    if (lease.expires_at > now && !PLANTED_BUG("lease_ends_where_it_is_listed")) {
      if (moved.size() == options_.max_moves_per_pass) {
        expiry_moves_left_ = true;
        break;
      }
      moved.push_back(id);
    } else if (!std::exchange(lease.being_revoked, true)) {
      expired.push_back(id);
    }
  }
  for (LeaseId id : moved) {
    Lease& lease = *leases_.Find(id);
    List(by_expiry_, id, lease.listed_at, lease.expires_at);
  }
  return expired;
}

void Lessor::GiveBack(LeaseId id) {
  if (Lease* lease = leases_.Find(id)) lease->being_revoked = false;
}

bool Lessor::IsBeingRevoked(LeaseId id) const {
  const Lease* lease = leases_.Find(id);
  return lease != nullptr && lease->being_revoked;
}

std::vector<LeaseRemainingEffect> Lessor::DueCheckpoints() {
  std::vector<LeaseRemainingEffect> due;
  if (!serving_) return due;
  const absl::Duration now = clock_.Monotonic();
  std::vector<LeaseId> moved;
  checkpoint_moves_left_ = false;
  for (const auto& [when, id] : by_checkpoint_due_) {
    if (when > now || due.size() == options_.max_checkpoints_per_pass) break;
    Lease& lease = *leases_.Find(id);
    if (CheckpointDueAt(lease) > now || IsOver(lease)) {
      if (moved.size() == options_.max_moves_per_pass) {
        checkpoint_moves_left_ = true;
        break;
      }
      moved.push_back(id);
    } else if (!std::exchange(lease.being_journaled, true)) {
      // Rounded up: the journal must never make a lease shorter.
      due.push_back({id, CeilSeconds(Remaining(lease))});
    }
  }
  for (LeaseId id : moved) {
    Lease& lease = *leases_.Find(id);
    const absl::Duration when = IsOver(lease) ? absl::InfiniteDuration() : CheckpointDueAt(lease);
    List(by_checkpoint_due_, id, lease.checkpoint_listed_at, when);
  }
  return due;
}

void Lessor::GiveUpCheckpoints(const std::vector<LeaseRemainingEffect>& leases) {
  for (const LeaseRemainingEffect& given_up : leases) {
    if (Lease* lease = leases_.Find(given_up.id)) lease->being_journaled = false;
  }
}

void Lessor::CountAsJournaled(const std::vector<LeaseRemainingEffect>& leases) {
  for (const LeaseRemainingEffect& lease : leases) OnRemaining(lease.id, lease.remaining_seconds);
}

absl::Duration Lessor::Remaining(const Lease& lease) const {
  if (!serving_) return absl::Seconds(lease.journaled_seconds);
  return lease.expires_at - clock_.Monotonic();
}

bool Lessor::IsOver(const Lease& lease) const {
  return lease.being_revoked || Remaining(lease) <= absl::ZeroDuration();
}

void Lessor::SetExpiry(LeaseId id, Lease* lease, absl::Duration expires_at) {
  lease->expires_at = expires_at;
  ListSooner(by_expiry_, id, lease->listed_at, expires_at);
  ListSooner(by_checkpoint_due_, id, lease->checkpoint_listed_at, CheckpointDueAt(*lease));
}

absl::Duration Lessor::CheckpointDueAt(const Lease& lease) const {
  const int64_t lag_seconds = CheckpointLagSeconds(lease.ttl_seconds);
  // Less than one lag left: the lease may as well run out once more after a restart.
  if (lease.journaled_seconds <= lag_seconds) return absl::InfiniteDuration();
  return lease.expires_at - absl::Seconds(lease.journaled_seconds - lag_seconds);
}

void Lessor::List(ByTime& list, LeaseId id, absl::Duration& listed_at, absl::Duration when) {
  if (listed_at != absl::InfiniteDuration()) list.erase({listed_at, id});
  listed_at = when;
  if (when != absl::InfiniteDuration()) list.insert({when, id});
}

}  // namespace tidemark::kvstore
