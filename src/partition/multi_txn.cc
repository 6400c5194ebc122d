#include "src/partition/multi_txn.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "src/base/check.h"
#include "src/base/failpoint.h"
#include "src/kvstore/effects.h"
#include "src/kvstore/etcd_errors.h"
#include "src/kvstore/range_reader.h"

namespace tidemark::partition {

using etcdserverpb::Compare;
using kvstore::KeyChange;
using kvstore::OpResult;
using kvstore::Replica;
using kvstore::TxnResult;

void MultiTxn::Run(Coordinator& coordinator, Request request, Done done) {
  std::shared_ptr<MultiTxn>(new MultiTxn(coordinator, std::move(request), std::move(done)))
      ->Start();
}

MultiTxn::MultiTxn(Coordinator& coordinator, Request request, Done done)
    : coordinator_(coordinator),
      request_(std::move(request)),
      done_(std::move(done)),
      plan_(coordinator.parts().map(), request_) {}

void MultiTxn::Start() {
  std::vector<std::pair<PartitionId, kvstore::Scope>> scopes;
  for (PartitionId id : plan_.partitions()) scopes.emplace_back(id, plan_.scope(id));
  coordinator_.TakeHolds(std::move(scopes), [self = shared_from_this()](std::vector<Held> held) {
    self->held_ = std::move(held);
    for (const Held& one : self->held_) self->shares_[one.partition].hold = one.hold;
    // Confirms that what the holds froze is the newest state; also brings every partition to it.
    self->coordinator_.Barrier(
        [self](absl::StatusOr<journal::Tail> tail) { self->OnTail(std::move(tail)); });
  });
}

void MultiTxn::OnTail(absl::StatusOr<journal::Tail> tail) {
  if (!tail.ok()) return Finish(kvstore::ErrTimeout());
  tail_ = *tail;
  AskAll<Compared>(
      coordinator_.parts(), plan_.partitions(), coordinator_.home(),
      [self = shared_from_this()](Replica& replica, size_t i,
                                  absl::AnyInvocable<void(Compared)> answer) {
        replica.WhenApplied(self->tail_.position, [self, &replica, i, answer = std::move(answer)](
                                                      journal::Tail) mutable {
          Compared compared;
          const Held& held = self->held_[i];
          for (const Compare* compare : self->plan_.compares()) {
            const auto owners = OwnersOf(self->coordinator_.parts().map(), *compare);
            const bool here = std::binary_search(owners.begin(), owners.end(), held.partition);
            compared.outcomes.push_back(here ? replica.Compare(held.hold, *compare)
                                             : Replica::CompareOutcome{});
          }
          answer(std::move(compared));
        });
      },
      [self = shared_from_this()](std::vector<Compared> answers) {
        self->OnCompared(std::move(answers));
      });
}

void MultiTxn::DecidePath(const std::vector<Compared>& answers) {
  absl::flat_hash_map<const Compare*, bool> holds;
  for (size_t c = 0; c < plan_.compares().size(); ++c) {
    bool exists = false;
    bool all_hold = true;
    for (const Compared& answer : answers) {
      if (!answer.outcomes[c].exists) continue;
      exists = true;
      all_hold &= answer.outcomes[c].holds;
    }
    const Compare* compare = plan_.compares()[c];
    holds[compare] = exists ? all_hold : kvstore::CompareHoldsForMissing(*compare);
  }
  path_ = kvstore::DecideTxnPath(request_, [&](const Compare& c) { return holds.at(&c); });
  op_changed_.assign(path_.ops.size(), false);
}

void MultiTxn::OnCompared(std::vector<Compared> answers) {
  DecidePath(answers);
  for (size_t i = 0; i < path_.ops.size(); ++i) {
    const auto owners = OwnersOf(coordinator_.parts().map(), path_.ops[i]);
    kvstore::PlannedOp op = path_.ops[i];
    if (op.range != nullptr && owners.size() > 1) {
      op.range = &(cut_ranges_[i] = kvstore::RangeForOnePartition(*op.range));
    }
    for (PartitionId id : owners) {
      Share& share = shares_.at(id);
      share.ops.push_back(op);
      share.indexes.push_back(i);
      share.has_ranges |= op.range != nullptr;
    }
  }
  AskAll<Evaluated>(
      coordinator_.parts(), plan_.partitions(), coordinator_.home(),
      [self = shared_from_this()](Replica& replica, size_t i,
                                  absl::AnyInvocable<void(Evaluated)> answer) {
        answer(self->EvaluateShare(replica, self->shares_.at(self->held_[i].partition)));
      },
      [self = shared_from_this()](std::vector<Evaluated> results) {
        self->OnEvaluated(std::move(results));
      });
}

MultiTxn::Evaluated MultiTxn::EvaluateShare(Replica& replica, const Share& share) const {
  Evaluated evaluated;
  size_t refused_op = 0;
  auto changes = replica.Evaluate(share.hold, share.ops, &refused_op);
  if (changes.ok()) {
    evaluated.changes = *std::move(changes);
    return evaluated;
  }
  // Which operation was refused decides which partition's refusal the client gets.
  evaluated.refusal = changes.status();
  evaluated.refused_index = share.indexes.at(refused_op);
  if (PLANTED_BUG("partition_any_refusal_is_given")) evaluated.refused_index = 0;
  return evaluated;
}

void MultiTxn::OnEvaluated(std::vector<Evaluated> answers) {
  const Evaluated* refused = nullptr;
  for (size_t i = 0; i < answers.size(); ++i) {
    Evaluated& answer = answers[i];
    shares_.at(held_[i].partition).changes = std::move(answer.changes);
    if (answer.refusal.ok()) continue;
    if (refused == nullptr || answer.refused_index < refused->refused_index) refused = &answer;
  }
  if (refused != nullptr) return Finish(refused->refusal);
  ReadUnchanged();
}

// Partitions that are only read give their results now: the holds keep them true until the entry
// is ordered.
void MultiTxn::ReadUnchanged() {
  std::vector<PartitionId> from;
  for (auto& [id, share] : shares_) {
    share.results.resize(share.ops.size());
    if (share.changes.empty() && share.has_ranges) from.push_back(id);
  }
  AskAll<absl::StatusOr<TxnResult>>(
      coordinator_.parts(), from, coordinator_.home(),
      [self = shared_from_this()](Replica& replica, size_t,
                                  absl::AnyInvocable<void(absl::StatusOr<TxnResult>)> answer) {
        Request reads;
        for (const kvstore::PlannedOp& op : self->shares_.at(replica.partition()).ops) {
          if (op.range != nullptr) *reads.add_success()->mutable_request_range() = *op.range;
        }
        kvstore::Freshness local;
        local.kind = kvstore::Freshness::Kind::kSerializable;
        replica.ReadTxn(
            std::move(reads), local,
            [answer = std::move(answer)](absl::StatusOr<kvstore::Reply<TxnResult>> reply) mutable {
              if (!reply.ok()) return answer(reply.status());
              answer(std::move(reply->result));
            });
      },
      [self = shared_from_this(), from](std::vector<absl::StatusOr<TxnResult>> answers) {
        self->OnRead(from, std::move(answers));
      });
}

void MultiTxn::OnRead(const std::vector<PartitionId>& from,
                      std::vector<absl::StatusOr<TxnResult>> answers) {
  for (size_t p = 0; p < from.size(); ++p) {
    if (!answers[p].ok()) return Finish(answers[p].status());
    Share& share = shares_.at(from[p]);
    size_t next = 0;
    for (size_t i = 0; i < share.ops.size(); ++i) {
      if (share.ops[i].range == nullptr) continue;
      share.results[i] = std::move(answers[p]->responses.at(next++));
    }
  }
  NumberChanges();
  Order();
}

void MultiTxn::NumberChanges() {
  struct Numbered {
    size_t index;
    PartitionId partition;
    KeyChange* change;
  };
  std::vector<Numbered> all;
  for (auto& [id, share] : shares_) {
    for (KeyChange& change : share.changes) {
      all.push_back({share.indexes.at(change.op), id, &change});
    }
  }
  std::stable_sort(all.begin(), all.end(), [](const Numbered& a, const Numbered& b) {
    return std::tie(a.index, a.change->key) < std::tie(b.index, b.change->key);
  });
  for (size_t i = 0; i < all.size(); ++i) {
    all[i].change->sub = static_cast<int64_t>(i);
    op_changed_[all[i].index] = true;
    if (all[i].change->is_delete) delete_order_[all[i].index].push_back(all[i].partition);
  }
}

void MultiTxn::Order() {
  std::vector<PartitionId> changed;
  for (const auto& [id, share] : shares_) {
    if (!share.changes.empty()) changed.push_back(id);
  }
  if (changed.empty()) return Finish(absl::OkStatus());
  int64_t record_bytes = 0;
  for (PartitionId id : changed) record_bytes += kvstore::StoredBytes(shares_.at(id).changes);
  room_ = coordinator_.Reserve(record_bytes);
  if (room_.reservation.empty()) return Finish(kvstore::ErrNoSpace());
  results_missing_ = changed.size();
  if (PLANTED_BUG("partition_half_txn")) {
    // P4: an entry for each partition, so a crash or a reader between them sees half.
    for (PartitionId id : changed) AppendOne({id});
    return;
  }
  AppendOne(changed);
}

void MultiTxn::AppendOne(const std::vector<PartitionId>& changed) {
  journal::Record record;
  record.changes_keys = true;
  record.partitions = coordinator_.EpochsOf(changed);
  kvstore::EffectsWriter effects;
  for (PartitionId id : changed) effects.AddKeyChanges(id, shares_.at(id).changes);
  record.payload = std::move(effects).Take();
  coordinator_.writer().Append(
      std::move(record),
      [self = shared_from_this(), changed](OriginId origin, uint64_t number) {
        for (PartitionId id : changed) {
          Replica& replica = self->coordinator_.parts().replica(id);
          replica.executor().Post([self, id, &replica, origin, number] {
            const Share& share = self->shares_.at(id);
            replica.ExpectEntry(
                share.hold, origin, number, share.ops,
                [self, id](kvstore::Reply<std::vector<OpResult>> reply) mutable {
                  self->coordinator_.home().Post([self, id, reply = std::move(reply)]() mutable {
                    self->OnApplied(id, std::move(reply));
                  });
                });
          });
        }
      },
      [self = shared_from_this()](absl::StatusOr<journal::Placed> placed) {
        if (!placed.ok() && self->done_ != nullptr) self->Finish(AppendRefusal(placed.status()));
      });
}

void MultiTxn::OnApplied(PartitionId id, kvstore::Reply<std::vector<OpResult>> reply) {
  if (done_ == nullptr) return;
  Share& share = shares_.at(id);
  CHECK(reply.result.size() == share.ops.size());
  share.results = std::move(reply.result);
  entry_revision_ = std::max(entry_revision_, reply.revision);
  // The entry has ended this hold.
  held_.erase(std::remove_if(held_.begin(), held_.end(),
                             [id](const Held& held) { return held.partition == id; }),
              held_.end());
  if (--results_missing_ == 0) Finish(absl::OkStatus());
}

void MultiTxn::Finish(absl::Status status) {
  coordinator_.Release(std::exchange(held_, {}));
  coordinator_.Leave();
  room_ = {};
  Done done = std::exchange(done_, nullptr);
  CHECK(done != nullptr);
  if (!status.ok()) return done(std::move(status));
  kvstore::Reply<TxnResult> reply;
  const bool changed = entry_revision_.value() != 0;
  reply.revision = changed ? entry_revision_ : tail_.revision;
  reply.result = BuildResult(changed ? entry_revision_.Previous() : tail_.revision, reply.revision);
  done(std::move(reply));
}

TxnResult MultiTxn::BuildResult(Revision before, Revision after) {
  std::vector<OpResult> results;
  bool changed = false;
  for (size_t i = 0; i < path_.ops.size(); ++i) {
    changed |= op_changed_[i];
    OpResult result = BuildOp(i);
    result.header_revision = changed ? after : before;
    results.push_back(std::move(result));
  }
  return kvstore::BuildTxnResult(path_.shape, std::move(results));
}

OpResult MultiTxn::BuildOp(size_t index) {
  std::vector<OpResult*> parts;
  for (auto& [id, share] : shares_) {
    const auto it = std::lower_bound(share.indexes.begin(), share.indexes.end(), index);
    if (it == share.indexes.end() || *it != index) continue;
    parts.push_back(&share.results[static_cast<size_t>(it - share.indexes.begin())]);
  }
  OpResult merged;
  const kvstore::PlannedOp& op = path_.ops[index];
  if (op.delete_range != nullptr) {
    merged.result = BuildDelete(index, std::move(parts));
  } else if (op.range != nullptr && parts.size() > 1) {
    std::vector<kvstore::RangeResult> ranges;
    ranges.reserve(parts.size());
    for (OpResult* part : parts) {
      ranges.push_back(std::move(std::get<kvstore::RangeResult>(part->result)));
    }
    merged.result = kvstore::MergeRanges(std::move(ranges), *op.range);
  } else {
    CHECK(parts.size() == 1);
    merged = std::move(*parts.front());
  }
  return merged;
}

kvstore::DeleteResult MultiTxn::BuildDelete(size_t index, std::vector<OpResult*> parts) const {
  kvstore::DeleteResult merged;
  const auto order = delete_order_.find(index);
  if (order == delete_order_.end()) return merged;
  merged.deleted = static_cast<int64_t>(order->second.size());
  if (!path_.ops[index].delete_range->prev_kv()) return merged;
  // Each partition's previous values are in key order; delete_order_ says whose is next.
  absl::btree_map<PartitionId, std::pair<kvstore::DeleteResult*, size_t>> cursors;
  size_t part = 0;
  for (const auto& [id, share] : shares_) {
    if (!std::binary_search(share.indexes.begin(), share.indexes.end(), index)) continue;
    auto* result = std::get_if<kvstore::DeleteResult>(&parts[part++]->result);
    if (result != nullptr) cursors[id] = {result, 0};
  }
  for (PartitionId id : order->second) {
    auto& [result, next] = cursors.at(id);
    merged.prev_kvs.push_back(std::move(result->prev_kvs.at(next++)));
  }
  return merged;
}

}  // namespace tidemark::partition
