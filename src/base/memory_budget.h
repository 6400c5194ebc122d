// One limit for what the process may hold, cut into shares, and how much of it is held for what
// (docs/design-notes.md, "Memory budget").
//
//   MemoryCharge charge(budget, MemoryAccount::kReads);
//   if (!charge.TryRaise(bytes)) return ErrTooManyRequests();    // given back by its destructor
//
// Hides the counting only. Whoever can refuse asks first (TryRaise, HasRoomFor); whoever cannot any
// more is counted all the same (Set), so an account may stand above its share: then everybody else
// is refused until it is below again.
// MemoryBudget is thread-safe. A MemoryCharge belongs to one thread at a time, a BatchedCharge to
// one thread.
//
// Invariants:
//  1. What was charged is released exactly once.
//  2. The shares add up to no more than the limit.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/strings/string_view.h"

namespace tidemark {

enum class MemoryAccount : uint8_t {
  kValues,       // segments in use; shares with kIndex
  kIndex,        // keys, versions and leases on the heap
  kReads,        // answers from when they are read until they are sent; shares with kPinned
  kPinned,       // segments given up by the store that something on its way still refers to
  kWatches,      // watchers, and events on their way to clients
  kConnections,  // connections, calls, and requests on their way in
};
inline constexpr std::array<MemoryAccount, 6> kMemoryAccounts = {
    MemoryAccount::kValues, MemoryAccount::kIndex,   MemoryAccount::kReads,
    MemoryAccount::kPinned, MemoryAccount::kWatches, MemoryAccount::kConnections};
absl::string_view NameOf(MemoryAccount account);

class MemoryBudget {
 public:
  // Far above any machine, far below overflow.
  static constexpr int64_t kUnlimited = int64_t{1} << 60;

  explicit MemoryBudget(int64_t limit_bytes = kUnlimited);
  MemoryBudget(const MemoryBudget&) = delete;
  MemoryBudget& operator=(const MemoryBudget&) = delete;

  // For those who were given none; outlives everything.
  static MemoryBudget& Unlimited();

  int64_t limit_bytes() const { return limit_bytes_; }
  // Of the account, together with the one it shares with.
  int64_t share_bytes(MemoryAccount account) const { return share_bytes_[Index(account)]; }
  int64_t used_bytes(MemoryAccount account) const {
    return used_[Index(account)].bytes.load(std::memory_order_relaxed);
  }
  // What the share has left; below 0 when it is overdrawn.
  int64_t free_bytes(MemoryAccount account) const;
  bool HasRoomFor(MemoryAccount account, int64_t bytes) const {
    return bytes <= free_bytes(account);
  }

  void Charge(MemoryAccount account, int64_t bytes) {
    used_[Index(account)].bytes.fetch_add(bytes, std::memory_order_relaxed);
  }
  void Release(MemoryAccount account, int64_t bytes) { Charge(account, -bytes); }
  // False, and nothing is charged, when less than `keep_free_bytes` of the share would be left.
  bool TryCharge(MemoryAccount account, int64_t bytes, int64_t keep_free_bytes = 0);

  // Requests, streams and connections that were refused for want of room.
  void CountRefusal(MemoryAccount account) {
    used_[Index(account)].refusals.fetch_add(1, std::memory_order_relaxed);
  }
  int64_t refusals(MemoryAccount account) const {
    return used_[Index(account)].refusals.load(std::memory_order_relaxed);
  }

 private:
  struct alignas(64) Used {
    std::atomic<int64_t> bytes{0};
    std::atomic<int64_t> refusals{0};
  };
  static constexpr size_t Index(MemoryAccount account) { return static_cast<size_t>(account); }

  const int64_t limit_bytes_;
  std::array<int64_t, kMemoryAccounts.size()> share_bytes_{};
  std::array<Used, kMemoryAccounts.size()> used_;
};

// Bytes held under one account, given back when it goes.
class MemoryCharge {
 public:
  MemoryCharge() = default;  // of no budget: everything is allowed and nothing is counted
  MemoryCharge(MemoryBudget& budget, MemoryAccount account) : budget_(&budget), account_(account) {}
  MemoryCharge(MemoryCharge&& other) noexcept
      : budget_(std::exchange(other.budget_, nullptr)),
        account_(other.account_),
        bytes_(std::exchange(other.bytes_, 0)) {}
  MemoryCharge& operator=(MemoryCharge&& other) noexcept;
  ~MemoryCharge();

  int64_t bytes() const { return bytes_; }
  // Whether or not there is room.
  void Set(int64_t bytes);
  // False, and nothing changes, when there is no room.
  bool TryRaise(int64_t to_bytes, int64_t keep_free_bytes = 0);
  void MoveTo(MemoryAccount account);
  // REQUIRES the same budget and account, or an empty one on either side.
  void Absorb(MemoryCharge other);

 private:
  MemoryBudget* budget_ = nullptr;
  MemoryAccount account_ = MemoryAccount::kReads;
  int64_t bytes_ = 0;
};

// The sum of many small charges of one thread, told to the budget in large steps.
class BatchedCharge {
 public:
  static constexpr int64_t kStepBytes = 64 << 10;  // how far the budget may be behind

  BatchedCharge(MemoryBudget& budget, MemoryAccount account) : budget_(budget), account_(account) {}
  BatchedCharge(const BatchedCharge&) = delete;
  ~BatchedCharge() { budget_.Charge(account_, untold_bytes_); }

  void Add(int64_t bytes) {
    untold_bytes_ += bytes;
    if (untold_bytes_ >= kStepBytes || untold_bytes_ <= -kStepBytes) Tell();
  }

 private:
  void Tell() { budget_.Charge(account_, std::exchange(untold_bytes_, 0)); }

  MemoryBudget& budget_;
  const MemoryAccount account_;
  int64_t untold_bytes_ = 0;
};

}  // namespace tidemark
