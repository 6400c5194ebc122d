#include "src/kvstore/lease_table.h"

#include <algorithm>

#include "src/base/check.h"

namespace tidemark::kvstore {

void LeaseTable::Grant(LeaseId id, int64_t ttl_seconds) {
  CHECK(id.value() != 0 && ttl_seconds > 0);
  CHECK(leases_.try_emplace(id, Lease{ttl_seconds, ttl_seconds, {}}).second);
}

void LeaseTable::SetRemaining(LeaseId id, int64_t remaining_seconds) {
  auto it = leases_.find(id);
  if (it == leases_.end()) return;
  Lease& lease = it->second;
  lease.remaining_seconds =
      remaining_seconds > 0 ? std::min(remaining_seconds, lease.ttl_seconds) : lease.ttl_seconds;
}

std::vector<LeaseState> LeaseTable::States() const {
  std::vector<LeaseState> states;
  states.reserve(leases_.size());
  for (const auto& [id, lease] : leases_) {
    states.push_back({id, lease.ttl_seconds, lease.remaining_seconds});
  }
  return states;
}

void LeaseTable::Revoke(LeaseId id) {
  auto it = leases_.find(id);
  CHECK(it != leases_.end());
  CHECK(it->second.keys.empty());
  leases_.erase(it);
}

void LeaseTable::Move(absl::string_view key, LeaseId from, LeaseId to) {
  if (from == to) return;
  if (from.value() != 0) {
    auto it = leases_.find(from);
    CHECK(it != leases_.end());
    auto attached = it->second.keys.find(key);
    CHECK(attached != it->second.keys.end());
    it->second.keys.erase(attached);
    --attached_count_;
    attached_key_bytes_ -= static_cast<int64_t>(key.size());
  }
  if (to.value() != 0) {
    auto it = leases_.find(to);
    CHECK(it != leases_.end());  // effects attach only to leases that exist
    CHECK(it->second.keys.emplace(key).second);
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
  auto it = leases_.find(id);
  if (it == leases_.end()) return {};
  return {it->second.keys.begin(), it->second.keys.end()};
}

bool LeaseTable::IsAttached(LeaseId id, absl::string_view key) const {
  auto it = leases_.find(id);
  return it != leases_.end() && it->second.keys.contains(key);
}

}  // namespace tidemark::kvstore
