#include "src/kvstore/lease_table.h"

#include <algorithm>

#include "src/base/check.h"

namespace tidemark::kvstore {

void LeaseTable::Grant(LeaseId id, int64_t ttl_seconds) {
  CHECK(id.value() != 0 && ttl_seconds > 0);
  CHECK(leases_.Insert(id, Lease{ttl_seconds, ttl_seconds, {}}));
}

void LeaseTable::SetRemaining(LeaseId id, int64_t remaining_seconds) {
  Lease* lease = leases_.Find(id);
  if (lease == nullptr) return;
  lease->remaining_seconds =
      remaining_seconds > 0 ? std::min(remaining_seconds, lease->ttl_seconds) : lease->ttl_seconds;
}

std::vector<LeaseState> LeaseTable::States() const {
  std::vector<LeaseState> states;
  states.reserve(leases_.size());
  leases_.ForEach([&](LeaseId id, const Lease& lease) {
    states.push_back({id, lease.ttl_seconds, lease.remaining_seconds});
  });
  return states;
}

void LeaseTable::Revoke(LeaseId id) {
  const Lease* lease = leases_.Find(id);
  CHECK(lease != nullptr && lease->keys.empty());
  leases_.Erase(id);
}

void LeaseTable::Move(absl::string_view key, LeaseId from, LeaseId to) {
  if (from == to) return;
  if (from.value() != 0) {
    Lease* lease = leases_.Find(from);
    CHECK(lease != nullptr);
    auto attached = lease->keys.find(key);
    CHECK(attached != lease->keys.end());
    lease->keys.erase(attached);
    --attached_count_;
    attached_key_bytes_ -= static_cast<int64_t>(key.size());
  }
  if (to.value() != 0) {
    Lease* lease = leases_.Find(to);
    CHECK(lease != nullptr);  // effects attach only to leases that exist
    CHECK(lease->keys.emplace(key).second);
    ++attached_count_;
    attached_key_bytes_ += static_cast<int64_t>(key.size());
  }
}

int64_t LeaseTable::heap_bytes() const {
  constexpr int64_t kLeaseBytes = 256;  // a set that is not empty has a node of its own
  constexpr int64_t kKeyBytes = 64;
  return static_cast<int64_t>(leases_.size()) * kLeaseBytes +
         static_cast<int64_t>(attached_count_) * kKeyBytes + attached_key_bytes_;
}

std::vector<std::string> LeaseTable::Keys(LeaseId id) const {
  const Lease* lease = leases_.Find(id);
  if (lease == nullptr) return {};
  return {lease->keys.begin(), lease->keys.end()};
}

bool LeaseTable::IsAttached(LeaseId id, absl::string_view key) const {
  const Lease* lease = leases_.Find(id);
  return lease != nullptr && lease->keys.contains(key);
}

}  // namespace tidemark::kvstore
