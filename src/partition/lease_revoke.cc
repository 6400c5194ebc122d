// One lease revoke: held everywhere, one entry with the lease and all its keys.

#include <algorithm>
#include <utility>

#include "src/base/check.h"
#include "src/base/failpoint.h"
#include "src/kvstore/effects.h"
#include "src/kvstore/etcd_errors.h"
#include "src/partition/lease_manager.h"

namespace tidemark::partition {

struct LeaseManager::Revoking {
  LeaseId id;
  Cause cause = Cause::kRequest;
  ReplyCallback<Nothing> done;
  std::vector<Held> held;
  std::vector<std::vector<kvstore::KeyChange>> changes;  // by partition
  Coordinator::HeldRoom room;                            // for their records
  bool changes_keys = false;
  size_t missing = 0;
  Revision revision{0};
};

void LeaseManager::Revoke(LeaseId id, ReplyCallback<Nothing> done) {
  StartRevoke(id, Cause::kRequest, std::move(done));
}

void LeaseManager::StartRevoke(LeaseId id, Cause cause, ReplyCallback<Nothing> done) {
  auto revoking = std::make_shared<Revoking>();
  revoking->id = id;
  revoking->cause = cause;
  revoking->done = std::move(done);
  std::vector<std::pair<PartitionId, kvstore::Scope>> scopes;
  for (PartitionId partition : coordinator_.parts().ids()) {
    kvstore::Scope scope;
    // Without it a put may attach a key behind the collection of keys, and outlive its lease.
    if (!PLANTED_BUG("lease_revoke_without_hold")) scope.revokes.push_back(id);
    scopes.emplace_back(partition, std::move(scope));
  }
  coordinator_.TakeHolds(std::move(scopes), [this, revoking](std::vector<Held> held) {
    revoking->held = std::move(held);
    ReadKeys(revoking);
  });
}

void LeaseManager::ReadKeys(std::shared_ptr<Revoking> revoking) {
  coordinator_.Barrier([this, revoking](absl::StatusOr<journal::Tail> tail) {
    if (!tail.ok()) return FinishRevoke(revoking, kvstore::ErrTimeout());
    // Held now: who has this id, and why, does not change any more.
    const bool is_another = revoking->cause == Cause::kExpiry &&
                            !lessor_.IsBeingRevoked(revoking->id) &&
                            !PLANTED_BUG("lease_expiry_takes_the_next_one");
    if (is_another || !coordinator_.parts().system().LeaseExists(revoking->id)) {
      revoking->revision = tail->revision;
      return FinishRevoke(revoking, kvstore::ErrLeaseNotFound());
    }
    AskAll<std::vector<std::string>>(
        coordinator_.parts(), coordinator_.parts().ids(), coordinator_.home(),
        [id = revoking->id, position = tail->position](
            kvstore::Replica& replica, size_t,
            absl::AnyInvocable<void(std::vector<std::string>)> answer) {
          replica.WhenApplied(position,
                              [id, &replica, answer = std::move(answer)](journal::Tail) mutable {
                                answer(replica.LeaseKeys(id));
                              });
        },
        [this, revoking](std::vector<std::vector<std::string>> keys) {
          struct Owned {
            std::string key;
            size_t partition;
          };
          std::vector<Owned> all;
          for (size_t p = 0; p < keys.size(); ++p) {
            for (std::string& key : keys[p]) all.push_back({std::move(key), p});
          }
          std::sort(all.begin(), all.end(),
                    [](const Owned& a, const Owned& b) { return a.key < b.key; });
          revoking->changes.resize(keys.size());
          revoking->changes_keys = !all.empty();
          for (size_t i = 0; i < all.size(); ++i) {
            kvstore::KeyChange change;
            change.is_delete = true;
            change.key = std::move(all[i].key);
            change.sub = static_cast<int64_t>(i);
            revoking->changes[all[i].partition].push_back(std::move(change));
          }
          AppendRevoke(revoking);
        });
  });
}

void LeaseManager::AppendRevoke(std::shared_ptr<Revoking> revoking) {
  const std::vector<PartitionId> all = coordinator_.parts().ids();
  int64_t record_bytes = 0;
  for (const auto& changes : revoking->changes) record_bytes += kvstore::StoredBytes(changes);
  if (record_bytes > 0) {
    revoking->room = coordinator_.Reserve(record_bytes);
    if (revoking->room.reservation.empty()) return FinishRevoke(revoking, kvstore::ErrNoSpace());
  }
  journal::Record record;
  record.changes_keys = revoking->changes_keys;
  record.partitions = coordinator_.EpochsOf(all);
  kvstore::EffectsWriter effects;
  for (PartitionId id : all) {
    const auto& changes = revoking->changes[id.value()];
    if (!changes.empty()) effects.AddKeyChanges(id, changes);
  }
  effects.AddLeaseRevoke(revoking->id);
  record.payload = std::move(effects).Take();
  revoking->missing = all.size();
  coordinator_.writer().Append(
      std::move(record),
      [this, revoking](OriginId origin, uint64_t number) {
        for (const Held& held : revoking->held) {
          kvstore::Replica& replica = coordinator_.parts().replica(held.partition);
          auto on_applied = [this, revoking](kvstore::Reply<std::vector<kvstore::OpResult>> reply) {
            coordinator_.home().Post([this, revoking, revision = reply.revision] {
              if (revoking->done == nullptr) return;
              revoking->revision = revision;
              if (--revoking->missing > 0) return;
              revoking->held.clear();  // ended by the entry
              FinishRevoke(revoking, absl::OkStatus());
            });
          };
          replica.executor().Post([&replica, hold = held.hold, origin, number,
                                   on_applied = std::move(on_applied)]() mutable {
            replica.ExpectEntry(hold, origin, number, {}, std::move(on_applied));
          });
        }
      },
      [this, revoking](absl::StatusOr<journal::Placed> placed) {
        if (placed.ok() || revoking->done == nullptr) return;
        FinishRevoke(revoking, AppendRefusal(placed.status()));
      });
}

void LeaseManager::FinishRevoke(std::shared_ptr<Revoking> revoking, absl::Status status) {
  coordinator_.Release(std::exchange(revoking->held, {}));
  coordinator_.Leave();
  revoking->room = {};
  ReplyCallback<Nothing> done = std::exchange(revoking->done, nullptr);
  if (!status.ok()) return done(std::move(status));
  done(kvstore::Reply<Nothing>{revoking->revision, {}});
}

}  // namespace tidemark::partition
