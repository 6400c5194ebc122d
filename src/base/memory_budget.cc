#include "src/base/memory_budget.h"

#include <algorithm>

#include "src/base/check.h"
#include "src/base/failpoint.h"

namespace tidemark {
namespace {

// Of the limit. Data, and beside it as much traffic as a node of that size should have.
constexpr int64_t kDataPercent = 80;
constexpr int64_t kReadsPercent = 10;
constexpr int64_t kWatchesPercent = 5;
constexpr int64_t kConnectionsPercent = 5;
static_assert(kDataPercent + kReadsPercent + kWatchesPercent + kConnectionsPercent <= 100);

int64_t PercentOf(MemoryAccount account) {
  switch (account) {
    case MemoryAccount::kValues:
    case MemoryAccount::kIndex:
      return kDataPercent;
    case MemoryAccount::kReads:
    case MemoryAccount::kPinned:
      return kReadsPercent;
    case MemoryAccount::kWatches:
      return kWatchesPercent;
    case MemoryAccount::kConnections:
      return kConnectionsPercent;
  }
  CHECK(false);
  return 0;
}

// The account that takes from the same share; itself when none does.
MemoryAccount PartnerOf(MemoryAccount account) {
  switch (account) {
    case MemoryAccount::kValues:
      return MemoryAccount::kIndex;
    case MemoryAccount::kIndex:
      return MemoryAccount::kValues;
    case MemoryAccount::kReads:
      return MemoryAccount::kPinned;
    case MemoryAccount::kPinned:
      return MemoryAccount::kReads;
    case MemoryAccount::kWatches:
    case MemoryAccount::kConnections:
      return account;
  }
  CHECK(false);
  return account;
}

}  // namespace

absl::string_view NameOf(MemoryAccount account) {
  switch (account) {
    case MemoryAccount::kValues:
      return "values";
    case MemoryAccount::kIndex:
      return "index";
    case MemoryAccount::kReads:
      return "reads";
    case MemoryAccount::kPinned:
      return "pinned";
    case MemoryAccount::kWatches:
      return "watches";
    case MemoryAccount::kConnections:
      return "connections";
  }
  CHECK(false);
  return "";
}

MemoryBudget::MemoryBudget(int64_t limit_bytes) : limit_bytes_(limit_bytes) {
  CHECK(limit_bytes > 0 && limit_bytes <= kUnlimited);
  for (const MemoryAccount account : kMemoryAccounts) {
    share_bytes_[Index(account)] = limit_bytes / 100 * PercentOf(account);
  }
}

MemoryBudget& MemoryBudget::Unlimited() {
  static MemoryBudget* const unlimited = new MemoryBudget();
  return *unlimited;
}

int64_t MemoryBudget::free_bytes(MemoryAccount account) const {
  const MemoryAccount partner = PartnerOf(account);
  int64_t used = used_bytes(account);
  if (partner != account) used += used_bytes(partner);
  return share_bytes(account) - used;
}

bool MemoryBudget::TryCharge(MemoryAccount account, int64_t bytes, int64_t keep_free_bytes) {
  Charge(account, bytes);
  if (free_bytes(account) >= keep_free_bytes || PLANTED_BUG("budget_limit_ignored")) return true;
  Release(account, bytes);
  return false;
}

MemoryCharge& MemoryCharge::operator=(MemoryCharge&& other) noexcept {
  if (this == &other) return *this;
  Set(0);
  budget_ = std::exchange(other.budget_, nullptr);
  account_ = other.account_;
  bytes_ = std::exchange(other.bytes_, 0);
  return *this;
}

MemoryCharge::~MemoryCharge() {
  if (PLANTED_BUG("budget_charge_kept")) return;
  Set(0);
}

void MemoryCharge::Set(int64_t bytes) {
  CHECK(bytes >= 0);
  if (budget_ == nullptr || bytes == bytes_) return;
  budget_->Charge(account_, bytes - bytes_);
  bytes_ = bytes;
}

bool MemoryCharge::TryRaise(int64_t to_bytes, int64_t keep_free_bytes) {
  if (budget_ == nullptr || to_bytes <= bytes_) return true;
  if (!budget_->TryCharge(account_, to_bytes - bytes_, keep_free_bytes)) return false;
  bytes_ = to_bytes;
  return true;
}

void MemoryCharge::MoveTo(MemoryAccount account) {
  if (budget_ == nullptr) return;
  budget_->Charge(account, bytes_);
  budget_->Release(account_, bytes_);
  account_ = account;
}

void MemoryCharge::Absorb(MemoryCharge other) {
  if (other.budget_ == nullptr) return;
  if (budget_ == nullptr) {
    *this = std::move(other);
    return;
  }
  CHECK(budget_ == other.budget_ && account_ == other.account_);
  bytes_ += std::exchange(other.bytes_, 0);
}

}  // namespace tidemark
