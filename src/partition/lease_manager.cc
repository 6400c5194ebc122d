#include "src/partition/lease_manager.h"

#include <algorithm>
#include <utility>

#include "src/base/check.h"
#include "src/base/failpoint.h"
#include "src/base/log.h"
#include "src/kvstore/etcd_errors.h"

namespace tidemark::partition {

using kvstore::Lessor;
using kvstore::Reply;

void LeaseManager::StartServing() {
  CHECK(!serving_);
  serving_ = true;
  lessor_.StartServing();
  ArmPass(Lessor::kPassInterval);
}

void LeaseManager::Stop() {
  serving_ = false;
  coordinator_.home().Cancel(timer_);
}

void LeaseManager::OnRevoked(LeaseId id) {
  lessor_.OnRevoked(id);
  const auto it = waiting_for_revoke_.find(id);
  if (it == waiting_for_revoke_.end()) return;
  waiting_count_ -= it->second.size();
  coordinator_.home().Post([id, waiters = std::move(it->second)]() mutable {
    for (Waiter& waiter : waiters) waiter.done(Reply<LeaseRemaining>{waiter.header, {id, 0}});
  });
  waiting_for_revoke_.erase(it);
}

LeaseId LeaseManager::PickId() {
  for (;;) {
    const LeaseId id(static_cast<int64_t>(random_.Next() >> 1));
    if (id.value() != 0 && !lessor_.Exists(id) && !granting_.contains(id)) return id;
  }
}

void LeaseManager::Grant(int64_t id, int64_t ttl_seconds, ReplyCallback<LeaseGranted> done) {
  JudgeGrant(LeaseId(id), ttl_seconds, false, std::move(done));
}

void LeaseManager::JudgeGrant(LeaseId id, int64_t ttl_seconds, bool confirmed,
                              ReplyCallback<LeaseGranted> done) {
  const auto running = granting_.find(id);
  if (running != granting_.end()) {
    running->second.push_back([this, id, ttl_seconds, done = std::move(done)]() mutable {
      JudgeGrant(id, ttl_seconds, false, std::move(done));
    });
    return;
  }
  const absl::StatusOr<int64_t> ttl = lessor_.TtlToGrant(id, ttl_seconds);
  if (ttl.ok()) {
    return AppendGrant(id.value() == 0 ? PickId() : id, *ttl, std::move(done));
  }
  if (confirmed) {
    coordinator_.Leave();
    return done(ttl.status());
  }
  coordinator_.Barrier(
      [this, id, ttl_seconds, done = std::move(done)](absl::StatusOr<journal::Tail> tail) mutable {
        if (tail.ok()) return JudgeGrant(id, ttl_seconds, true, std::move(done));
        coordinator_.Leave();
        done(kvstore::ErrTimeout());
      });
}

void LeaseManager::AppendGrant(LeaseId id, int64_t ttl_seconds, ReplyCallback<LeaseGranted> done) {
  granting_[id];
  kvstore::EffectsWriter effects;
  effects.AddLeaseGrant({id, ttl_seconds});
  coordinator_.AppendNodeEffects(coordinator_.parts().ids(), std::move(effects),
                                 [this, id, ttl_seconds, done = std::move(done)](
                                     absl::StatusOr<journal::Placed> placed) mutable {
                                   std::vector<Task> waiters = std::move(granting_.at(id));
                                   granting_.erase(id);
                                   coordinator_.Leave();
                                   if (placed.ok()) {
                                     done(Reply<LeaseGranted>{placed->revision, {id, ttl_seconds}});
                                   } else {
                                     done(AppendRefusal(placed.status()));
                                   }
                                   for (Task& waiter : waiters) waiter();
                                 });
}

void LeaseManager::KeepAlive(LeaseId id, ReplyCallback<LeaseRemaining> done) {
  DoKeepAlive(id, Current(), std::move(done));
}

void LeaseManager::DoKeepAlive(LeaseId id, Revision header, ReplyCallback<LeaseRemaining> done) {
  switch (lessor_.Renew(id)) {
    case Lessor::Renewal::kRenewed:
      coordinator_.Leave();
      return done(Reply<LeaseRemaining>{header, {id, lessor_.GrantedSeconds(id)}});
    case Lessor::Renewal::kUnknown:
      coordinator_.Leave();
      return done(Reply<LeaseRemaining>{header, {id, 0}});
    case Lessor::Renewal::kBeingRevoked:
      if (!PLANTED_BUG("lease_waiting_keep_alives_keep_their_place")) coordinator_.Leave();
      return WaitForRevoke(id, {clock_.Monotonic(), header, std::move(done)});
    case Lessor::Renewal::kJournalFirst:
      return JournalRemaining(
          {{id, 0}}, [this, id, header, done = std::move(done)](absl::Status status) mutable {
            if (status.ok()) return DoKeepAlive(id, header, std::move(done));
            if (!PLANTED_BUG("lease_ends_for_want_of_space")) lessor_.Extend(id);
            coordinator_.Leave();
            done(std::move(status));
          });
  }
}

void LeaseManager::WaitForRevoke(LeaseId id, Waiter waiter) {
  // An expired lease never comes back: it may be said before the revoke, too.
  if (waiting_count_ >= kWaitingKeepAlivesMax) {
    return waiter.done(Reply<LeaseRemaining>{waiter.header, {id, 0}});
  }
  ++waiting_count_;
  waiting_for_revoke_[id].push_back(std::move(waiter));
}

void LeaseManager::GiveUpOldWaiters() {
  const absl::Duration too_old = clock_.Monotonic() - patience_;
  absl::erase_if(waiting_for_revoke_, [&](auto& lease) {
    std::vector<Waiter>& waiters = lease.second;  // in order of arrival
    const auto first_kept =
        std::find_if(waiters.begin(), waiters.end(),
                     [too_old](const Waiter& waiter) { return waiter.since > too_old; });
    for (auto it = waiters.begin(); it != first_kept; ++it) it->done(kvstore::ErrTimeout());
    waiting_count_ -= static_cast<size_t>(first_kept - waiters.begin());
    waiters.erase(waiters.begin(), first_kept);
    return waiters.empty();
  });
}

void LeaseManager::TimeToLive(LeaseId id, bool with_keys, ReplyCallback<LeaseLife> done) {
  coordinator_.Barrier([this, id, with_keys,
                        done = std::move(done)](absl::StatusOr<journal::Tail> tail) mutable {
    if (!tail.ok()) {
      coordinator_.Leave();
      return done(kvstore::ErrTimeout());
    }
    LeaseLife life;
    life.id = id;
    if (lessor_.Exists(id)) {
      life.remaining_seconds = lessor_.RemainingSeconds(id);
      life.granted_seconds = lessor_.GrantedSeconds(id);
    }
    std::vector<PartitionId> asked;
    if (with_keys && lessor_.Exists(id)) asked = coordinator_.parts().ids();
    AskAll<std::vector<std::string>>(
        coordinator_.parts(), asked, coordinator_.home(),
        [id, position = tail->position](kvstore::Replica& replica, size_t,
                                        absl::AnyInvocable<void(std::vector<std::string>)> answer) {
          replica.WhenApplied(position,
                              [id, &replica, answer = std::move(answer)](journal::Tail) mutable {
                                answer(replica.LeaseKeys(id));
                              });
        },
        [this, life = std::move(life), header = tail->revision,
         done = std::move(done)](std::vector<std::vector<std::string>> parts) mutable {
          for (auto& keys : parts) {
            life.keys.insert(life.keys.end(), keys.begin(), keys.end());
          }
          std::sort(life.keys.begin(), life.keys.end());
          coordinator_.Leave();
          done(Reply<LeaseLife>{header, std::move(life)});
        });
  });
}

void LeaseManager::Leases(ReplyCallback<std::vector<LeaseId>> done) {
  coordinator_.Leave();
  done(Reply<std::vector<LeaseId>>{Current(), lessor_.ByExpiry()});
}

void LeaseManager::JournalRemaining(std::vector<kvstore::LeaseRemainingEffect> leases,
                                    absl::AnyInvocable<void(absl::Status)> done) {
  kvstore::EffectsWriter effects;
  effects.AddLeaseRemaining(leases);
  coordinator_.AppendNodeEffects(
      coordinator_.parts().ids(), std::move(effects),
      [done = std::move(done)](absl::StatusOr<journal::Placed> placed) mutable {
        done(placed.ok() ? absl::OkStatus() : AppendRefusal(placed.status()));
      });
}

void LeaseManager::ArmPass(absl::Duration pause) {
  timer_ = coordinator_.home().PostAt(clock_.Monotonic() + pause, [this] {
    if (!serving_) return;
    ArmPass(Pass() ? absl::ZeroDuration() : Lessor::kPassInterval);
  });
}

bool LeaseManager::Pass() {
  bool has_more = false;
  GiveUpOldWaiters();
  // What the last pass found is revoked first; the rest keeps until then.
  if (expired_.empty()) {
    for (LeaseId id : lessor_.TakeExpired()) expired_.push_back(id);
    has_more = lessor_.has_expiries_to_move();
  }
  RevokeNextExpired();
  if (journaling_) return has_more;
  std::vector<kvstore::LeaseRemainingEffect> due = lessor_.DueCheckpoints();
  has_more |= lessor_.has_checkpoints_to_move();
  if (due.empty()) return has_more;
  journaling_ = true;
  JournalRemaining(due, [this, due](absl::Status status) {
    journaling_ = false;
    if (status.ok()) return;
    if (absl::IsUnavailable(status)) return lessor_.CountAsJournaled(due);  // it may be found later
    lessor_.GiveUpCheckpoints(due);
  });
  return has_more;
}

void LeaseManager::RevokeNextExpired() {
  while (revokes_running_ < kParallelRevokes && !expired_.empty()) {
    const LeaseId id = expired_.front();
    expired_.pop_front();
    ++revokes_running_;
    ReplyCallback<Nothing> done = [this, id](absl::StatusOr<Reply<Nothing>> reply) {
      --revokes_running_;
      if (reply.ok()) expired_total_.fetch_add(1, std::memory_order_relaxed);
      if (!reply.ok() && !absl::IsNotFound(reply.status())) {
        TLOG(kWarn, "failed to revoke lease",
             {{"lease-id", id.value()}, {"error", reply.status().message()}});
        lessor_.GiveBack(id);
      }
      if (serving_) RevokeNextExpired();
    };
    coordinator_.EnterUnrefused([this, id, done = std::move(done)]() mutable {
      StartRevoke(id, Cause::kExpiry, std::move(done));
    });
  }
}

}  // namespace tidemark::partition
