#include "src/partition/coordinator.h"

#include <utility>

#include "src/base/check.h"
#include "src/base/failpoint.h"
#include "src/kvstore/etcd_errors.h"

namespace tidemark::partition {

absl::Status AppendRefusal(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kResourceExhausted:
      return kvstore::ErrNoSpace();
    case absl::StatusCode::kInvalidArgument:
      return kvstore::ErrRequestTooLarge();
    case absl::StatusCode::kDeadlineExceeded:
      return kvstore::ErrTooManyRequests();
    default:
      return kvstore::ErrTimeout();  // may or may not have happened
  }
}

Coordinator::Coordinator(const Parts& parts, journal::Journal& journal,
                         std::shared_ptr<mvcc::SegmentRoom> room, OriginId origin,
                         size_t max_operations)
    : parts_(parts),
      journal_(journal),
      room_(std::move(room)),
      home_(parts.system().executor()),
      writer_(journal, home_, origin),
      max_operations_(max_operations),
      epochs_(parts.size(), Epoch(0)) {}

journal::PartitionEpochs Coordinator::EpochsOf(const std::vector<PartitionId>& partitions) const {
  journal::PartitionEpochs epochs;
  for (PartitionId id : partitions) {
    const Epoch epoch = epochs_.at(id.value());
    CHECK(epoch.value() != 0);
    epochs.push_back({id, epoch});
  }
  return epochs;
}

absl::Status Coordinator::Enter(absl::AnyInvocable<void()> operation) {
  if (stopped_) return kvstore::ErrStopped();
  if (operations_.fetch_add(1) >= max_operations_) {
    operations_.fetch_sub(1);
    return kvstore::ErrTooManyRequests();
  }
  home_.Post(std::move(operation));
  return absl::OkStatus();
}

void Coordinator::EnterUnrefused(absl::AnyInvocable<void()> operation) {
  if (operations_ >= max_operations_ && PLANTED_BUG("lease_expiry_is_refused")) return;
  operations_.fetch_add(1);
  home_.Post(std::move(operation));
}

void Coordinator::Leave() {
  const size_t before = operations_.fetch_sub(1);
  CHECK(before > 0);
}

struct Coordinator::Taking {
  std::vector<std::pair<PartitionId, kvstore::Scope>> scopes;
  std::vector<Held> held;
  HoldsCallback done;
};

void Coordinator::TakeHolds(std::vector<std::pair<PartitionId, kvstore::Scope>> scopes,
                            HoldsCallback done) {
  for (size_t i = 1; i < scopes.size(); ++i) CHECK(scopes[i - 1].first < scopes[i].first);
  auto taking = std::make_shared<Taking>();
  taking->scopes = std::move(scopes);
  taking->done = std::move(done);
  TakeNext(std::move(taking));
}

void Coordinator::TakeNext(std::shared_ptr<Taking> taking) {
  const size_t i = taking->held.size();
  if (i == taking->scopes.size()) return taking->done(std::move(taking->held));
  const PartitionId id = taking->scopes[i].first;
  kvstore::Replica& replica = parts_.replica(id);
  replica.executor().Post([this, taking, i, id, &replica] {
    replica.Hold(std::move(taking->scopes[i].second), [this, taking, id](kvstore::HoldId hold) {
      home_.Post([this, taking, id, hold] {
        taking->held.push_back({id, hold});
        FAIL_POINT("partition.held");
        TakeNext(taking);
      });
    });
  });
}

void Coordinator::Release(const std::vector<Held>& held) {
  for (const Held& one : held) {
    kvstore::Replica& replica = parts_.replica(one.partition);
    replica.executor().Post([&replica, hold = one.hold] { replica.Release(hold); });
  }
}

void Coordinator::Barrier(absl::AnyInvocable<void(absl::StatusOr<journal::Tail>)> done) {
  parts_.system().Barrier([this, done = std::move(done)](absl::StatusOr<journal::Tail> t) mutable {
    home_.Post([done = std::move(done), t = std::move(t)]() mutable { done(std::move(t)); });
  });
}

void Coordinator::AppendNodeEffects(std::vector<PartitionId> partitions,
                                    kvstore::EffectsWriter effects, PlacedCallback done) {
  journal::Record record;
  record.partitions = EpochsOf(partitions);
  record.payload = std::move(effects).Take();
  writer_.Append(
      std::move(record), [](OriginId, uint64_t) {},
      [this, partitions = std::move(partitions),
       done = std::move(done)](absl::StatusOr<journal::Placed> placed) mutable {
        if (!placed.ok()) return done(std::move(placed));
        const Position position = placed->position;
        WhenAllApplied(parts_, std::move(partitions), position, home_,
                       [placed = *placed, done = std::move(done)]() mutable { done(placed); });
      });
}

void Coordinator::CheckIdle() const {
  CHECK(operations_ == 0);
  CHECK(writer_.idle());
}

}  // namespace tidemark::partition
