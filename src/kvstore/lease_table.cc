#include "src/kvstore/lease_table.h"

#include "src/base/check.h"

namespace tidemark::kvstore {

void LeaseTable::Grant(LeaseId id) {
  CHECK(id.value() != 0);
  CHECK(leases_.try_emplace(id).second);
}

void LeaseTable::Revoke(LeaseId id) {
  auto it = leases_.find(id);
  CHECK(it != leases_.end());
  CHECK(it->second.empty());
  leases_.erase(it);
}

void LeaseTable::Move(absl::string_view key, LeaseId from, LeaseId to) {
  if (from == to) return;
  if (from.value() != 0) {
    auto it = leases_.find(from);
    CHECK(it != leases_.end());
    auto attached = it->second.find(key);
    CHECK(attached != it->second.end());
    it->second.erase(attached);
    --attached_count_;
  }
  if (to.value() != 0) {
    auto it = leases_.find(to);
    CHECK(it != leases_.end());  // effects attach only to leases that exist
    CHECK(it->second.emplace(key).second);
    ++attached_count_;
  }
}

std::vector<std::string> LeaseTable::Keys(LeaseId id) const {
  auto it = leases_.find(id);
  if (it == leases_.end()) return {};
  return {it->second.begin(), it->second.end()};
}

bool LeaseTable::IsAttached(LeaseId id, absl::string_view key) const {
  auto it = leases_.find(id);
  return it != leases_.end() && it->second.contains(key);
}

}  // namespace tidemark::kvstore
