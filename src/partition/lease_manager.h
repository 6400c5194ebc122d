// Leases of the node: grants, revokes, renewals and expiry over all partitions (contract 4).
//
// Hides the expiry passes and what the journal must be told of remaining times. kvstore::Lessor
// keeps the clock; keys attached to a lease are known to the partitions.
// Sequence-bound to the coordinator's home. Requests were entered into the coordinator by the
// caller and leave when they are answered.
//
// Invariants:
//  1. A lease's keys go in one entry together with the lease (S7), one lease per entry.
//  2. While a lease is being revoked nothing can be attached to it: it is held everywhere.
//  3. At most kParallelRevokes expired leases are being revoked at a time. These are never refused
//     for too many operations: what ends leases does not wait for what clients ask.
//  4. Keep-alives of expired leases wait outside the coordinator's bound, so many at most and so
//     long: they must not keep others out, however long a revoke takes.
//  5. An expired lease that was revoked and granted again by clients, while its turn had not come,
//     is left alone.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "src/base/check.h"
#include "src/base/clock.h"
#include "src/base/random.h"
#include "src/kvstore/lessor.h"
#include "src/partition/coordinator.h"
#include "src/partition/router.h"

namespace tidemark::partition {

class LeaseManager {
 public:
  static constexpr size_t kParallelRevokes = 16;
  static constexpr size_t kWaitingKeepAlivesMax = 10000;

  // `patience`: clients' keep-alives have been answered after that.
  LeaseManager(Coordinator& coordinator, kvstore::LessorOptions options, Clock& clock,
               Random& random, absl::Duration patience)
      : coordinator_(coordinator),
        clock_(clock),
        random_(random),
        patience_(patience),
        lessor_(options, clock) {}

  // --- From applied entries ---
  void OnGranted(LeaseId id, int64_t ttl_seconds) { lessor_.OnGranted(id, ttl_seconds); }
  void OnRevoked(LeaseId id);
  void OnRemaining(LeaseId id, int64_t seconds) { lessor_.OnRemaining(id, seconds); }

  // Once the replay is over; expiry starts.
  void StartServing();
  void Stop();

  void Grant(int64_t id, int64_t ttl_seconds, ReplyCallback<LeaseGranted> done);
  void Revoke(LeaseId id, ReplyCallback<Nothing> done);
  void KeepAlive(LeaseId id, ReplyCallback<LeaseRemaining> done);
  void TimeToLive(LeaseId id, bool with_keys, ReplyCallback<LeaseLife> done);
  void Leases(ReplyCallback<std::vector<LeaseId>> done);

  size_t size() const { return lessor_.size(); }
  // Nobody waits.
  void CheckIdle() const { CHECK(waiting_count_ == 0 && waiting_for_revoke_.empty()); }
  // Leases that ended because their time was over. Any thread.
  int64_t expired_total() const { return expired_total_.load(std::memory_order_relaxed); }

 private:
  struct Revoking;
  // A keep-alive of an expired lease.
  struct Waiter {
    absl::Duration since;
    Revision header;
    ReplyCallback<LeaseRemaining> done;
  };

  // The newest known: of an answered write elsewhere the system partition may not know yet.
  Revision Current() const { return coordinator_.KnownTail().revision; }
  LeaseId PickId();
  void JudgeGrant(LeaseId id, int64_t ttl_seconds, bool confirmed,
                  ReplyCallback<LeaseGranted> done);
  void AppendGrant(LeaseId id, int64_t ttl_seconds, ReplyCallback<LeaseGranted> done);
  void DoKeepAlive(LeaseId id, Revision header, ReplyCallback<LeaseRemaining> done);
  void WaitForRevoke(LeaseId id, Waiter waiter);
  void GiveUpOldWaiters();

  // lease_revoke.cc
  enum class Cause { kRequest, kExpiry };
  void StartRevoke(LeaseId id, Cause cause, ReplyCallback<Nothing> done);
  void ReadKeys(std::shared_ptr<Revoking> revoking);
  void AppendRevoke(std::shared_ptr<Revoking> revoking);
  void FinishRevoke(std::shared_ptr<Revoking> revoking, absl::Status status);

  void ArmPass(absl::Duration pause);
  bool Pass();  // true: another one is due at once
  void RevokeNextExpired();
  void JournalRemaining(std::vector<kvstore::LeaseRemainingEffect> leases,
                        absl::AnyInvocable<void(absl::Status)> done);

  Coordinator& coordinator_;
  Clock& clock_;
  Random& random_;
  const absl::Duration patience_;
  kvstore::Lessor lessor_;
  bool serving_ = false;
  TimerId timer_ = 0;
  // Grants on their way, and who else asked for the same id meanwhile.
  absl::flat_hash_map<LeaseId, std::vector<Task>> granting_;
  absl::flat_hash_map<LeaseId, std::vector<Waiter>> waiting_for_revoke_;
  size_t waiting_count_ = 0;
  std::deque<LeaseId> expired_;
  size_t revokes_running_ = 0;
  std::atomic<int64_t> expired_total_{0};
  bool journaling_ = false;
};

}  // namespace tidemark::partition
