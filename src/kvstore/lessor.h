// The expiry clock of the node's leases.
//
// Hides remaining times, the order of expiry, and which remaining times the journal must know so
// that a restart neither ends a lease early nor forgets that it was running out. Grants and
// revokes come from applied entries; keep-alives are not journaled.
// Sequence-bound; time is the Clock's monotonic one.
//
// Invariants:
//  1. A lease never expires before its TTL (or journaled remaining time) has passed since it was
//     granted, renewed, or serving started, whichever is latest.
//  2. What the journal knows of a lease's remaining time is never less than the truth (but for
//     Extend), and at most the truth plus max(TTL / 2, 5 s) plus the caller's delay.
//  3. A lease handed out as expired is not renewed any more, unless given back.
//  4. A lease is listed no later than its time. A renewal leaves it where it is: the passes move it
//     when they come to it, a bounded number at a time.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "src/base/clock.h"
#include "src/base/ids.h"
#include "src/base/sharded_map.h"
#include "src/kvstore/effects.h"

namespace tidemark::kvstore {

struct LessorOptions {
  int64_t min_ttl_seconds = 2;
  int64_t max_ttl_seconds = 9'000'000'000;
  size_t max_expired_per_pass = 500;
  size_t max_checkpoints_per_pass = 1000;
  size_t max_moves_per_pass = 1000;  // of each list
};

class Lessor {
 public:
  // Callers look for expired leases this often.
  static constexpr absl::Duration kPassInterval = absl::Milliseconds(500);

  Lessor(LessorOptions options, Clock& clock) : options_(options), clock_(clock) {}

  // --- From applied entries ---
  void OnGranted(LeaseId id, int64_t ttl_seconds);
  void OnRevoked(LeaseId id);
  void OnRemaining(LeaseId id, int64_t remaining_seconds);  // 0: full TTL

  // From now on leases expire; all remaining times count from here.
  void StartServing();

  // --- Requests ---
  // The TTL to grant, or a refusal (too large, id in use). `id` 0 asks for none in particular.
  absl::StatusOr<int64_t> TtlToGrant(LeaseId id, int64_t ttl_seconds) const;
  bool Exists(LeaseId id) const { return leases_.contains(id); }
  size_t size() const { return leases_.size(); }
  // Handed out as expired, and neither revoked nor given back since.
  bool IsBeingRevoked(LeaseId id) const;

  enum class Renewal {
    kRenewed,       // answer with granted_seconds
    kJournalFirst,  // the journal knows a lower remaining time, or is being told of one: append
                    // a reset, then ask again
    kBeingRevoked,  // expired: wait for OnRevoked, then answer TTL 0
    kUnknown,       // answer TTL 0
  };
  Renewal Renew(LeaseId id);
  // The journal cannot be told: no promise over a restart, but while this process lives the lease
  // of an owner that keeps asking does not end for want of disk space.
  void Extend(LeaseId id);
  int64_t GrantedSeconds(LeaseId id) const;    // REQUIRES Exists
  int64_t RemainingSeconds(LeaseId id) const;  // whole seconds, truncated; REQUIRES Exists
  std::vector<LeaseId> ByExpiry() const;       // soonest first; sorts them

  // --- Passes ---
  // Leases whose time is over, at most the options' number; each is handed out once.
  std::vector<LeaseId> TakeExpired();
  // It did not get through: ask again soon.
  bool has_expiries_to_move() const { return expiry_moves_left_; }
  // The revoke failed: it will be handed out again.
  void GiveBack(LeaseId id);
  // Remaining times that the journal should be told. They count as journaled once they are applied
  // (OnRemaining); each is handed out once until then, unless given up.
  std::vector<LeaseRemainingEffect> DueCheckpoints();
  bool has_checkpoints_to_move() const { return checkpoint_moves_left_; }
  // They could not be appended.
  void GiveUpCheckpoints(const std::vector<LeaseRemainingEffect>& leases);
  // Nobody knows whether they were: the next life may find them.
  void CountAsJournaled(const std::vector<LeaseRemainingEffect>& leases);

 private:
  struct Lease {
    int64_t ttl_seconds = 0;
    int64_t journaled_seconds = 0;  // remaining time that a restart would begin with
    absl::Duration expires_at;      // meaningful once serving
    absl::Duration listed_at = absl::InfiniteDuration();             // in by_expiry_
    absl::Duration checkpoint_listed_at = absl::InfiniteDuration();  // in by_checkpoint_due_
    bool being_revoked = false;
    bool being_journaled = false;  // a remaining time is on its way into the journal
  };
  using ByTime = absl::btree_set<std::pair<absl::Duration, LeaseId>>;

  absl::Duration Remaining(const Lease& lease) const;
  // It is never renewed any more.
  bool IsOver(const Lease& lease) const;
  void SetExpiry(LeaseId id, Lease* lease, absl::Duration expires_at);
  // InfiniteDuration: no checkpoint is.
  absl::Duration CheckpointDueAt(const Lease& lease) const;
  static void List(ByTime& list, LeaseId id, absl::Duration& listed_at, absl::Duration when);
  static void ListSooner(ByTime& list, LeaseId id, absl::Duration& listed_at, absl::Duration when) {
    if (when < listed_at) List(list, id, listed_at, when);
  }

  const LessorOptions options_;
  Clock& clock_;
  bool serving_ = false;
  ShardedMap<LeaseId, Lease> leases_;
  ByTime by_expiry_;          // every lease
  ByTime by_checkpoint_due_;  // every lease that may need one
  bool expiry_moves_left_ = false;
  bool checkpoint_moves_left_ = false;
};

}  // namespace tidemark::kvstore
