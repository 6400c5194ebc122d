// Parts of writes that span partitions (design note "Holds").
//
// A hold that revokes a lease is taken in two steps: first nothing attaches to the lease any more,
// which fixes its keys; then writes to these keys that are still on their way drain.
#include <algorithm>
#include <utility>

#include "src/base/check.h"
#include "src/kvstore/replica_impl.h"

namespace tidemark::kvstore {

void ReplicaImpl::Hold(Scope scope, absl::AnyInvocable<void(HoldId)> done) {
  const HoldId id = ++last_hold_;
  auto owned = std::make_unique<HoldState>(*this, id, std::move(scope), std::move(done));
  HoldState* hold = owned.get();
  Footprint& footprint = hold->footprint;
  for (const mvcc::KeyRange& range : hold->scope.reads) footprint.reads.push_back(range.view());
  for (const mvcc::KeyRange& range : hold->scope.writes) footprint.writes.push_back(range.view());
  footprint.attaches.assign(hold->scope.attaches.begin(), hold->scope.attaches.end());
  footprint.revokes.assign(hold->scope.revokes.begin(), hold->scope.revokes.end());
  holds_.emplace(id, std::move(owned));
  in_flight_.Arrive(hold);
}

void ReplicaImpl::OnHoldEntered(HoldState* hold) {
  for (LeaseId lease : hold->scope.revokes) {
    for (std::string& key : leases_.Keys(lease)) hold->lease_keys.push_back(std::move(key));
  }
  for (const std::string& key : hold->lease_keys) {
    hold->footprint.writes.push_back(mvcc::SingleKey(key));
  }
  in_flight_.AddHold(hold->footprint);
  if (IsDrained(hold)) {
    GiveHold(hold);
  } else {
    draining_holds_.push_back(hold->id);
  }
}

// Waits only for what entered before it, so drains cannot wait for each other.
bool ReplicaImpl::IsDrained(HoldState* hold) const {
  const std::vector<std::string>& keys = hold->lease_keys;
  const auto is_busy = [this](const std::string& key) { return in_flight_.IsBusy(key); };
  // What it waited for the last time first: there may be many, and this is asked for each batch.
  if (hold->busy_key < keys.size() && is_busy(keys[hold->busy_key])) return false;
  const auto busy = std::find_if(keys.begin(), keys.end(), is_busy);
  hold->busy_key = static_cast<size_t>(busy - keys.begin());
  return busy == keys.end();
}

void ReplicaImpl::GiveHold(HoldState* hold) {
  CHECK(!hold->is_given);
  hold->is_given = true;
  in_flight_.AddGiven(hold->footprint);
  auto given = std::move(hold->given);
  given(hold->id);  // may release it
}

void ReplicaImpl::RetryDrainingHolds() {
  if (draining_holds_.empty()) return;
  std::vector<HoldId> ready;
  auto is_ready = [&](HoldId id) {
    if (!IsDrained(&FindHold(id))) return false;
    ready.push_back(id);
    return true;
  };
  draining_holds_.erase(std::remove_if(draining_holds_.begin(), draining_holds_.end(), is_ready),
                        draining_holds_.end());
  for (HoldId id : ready) GiveHold(&FindHold(id));
}

ReplicaImpl::HoldState& ReplicaImpl::FindHold(HoldId id) {
  auto it = holds_.find(id);
  CHECK(it != holds_.end());
  return *it->second;
}

void ReplicaImpl::EndHold(HoldId id) {
  HoldState& hold = FindHold(id);
  CHECK(hold.is_given);
  if (hold.expected != EntryName()) expected_.erase(hold.expected);
  in_flight_.RemoveGiven(hold.footprint);
  in_flight_.RemoveHold(hold.footprint);
  holds_.erase(id);
}

void ReplicaImpl::Release(HoldId hold) {
  EndHold(hold);
  RetryDrainingHolds();
  in_flight_.Pump();
}

Replica::CompareOutcome ReplicaImpl::Compare(HoldId hold, const etcdserverpb::Compare& compare) {
  CHECK(FindHold(hold).is_given);
  return evaluator().Compare(compare, mvcc::kLatest);
}

absl::StatusOr<std::vector<KeyChange>> ReplicaImpl::Evaluate(HoldId hold,
                                                             absl::Span<const PlannedOp> ops,
                                                             size_t* refused_op) {
  HoldState& state = FindHold(hold);
  CHECK(state.is_given);
  absl::StatusOr<Evaluation> evaluation = evaluator().Evaluate(ops, refused_op);
  if (!evaluation.ok()) return evaluation.status();
  state.answer = std::move(evaluation->answer);
  return std::move(evaluation->changes);
}

void ReplicaImpl::ExpectEntry(HoldId hold, OriginId origin, uint64_t number,
                              std::vector<PlannedOp> ops,
                              absl::AnyInvocable<void(Reply<std::vector<OpResult>>)> done) {
  HoldState& state = FindHold(hold);
  CHECK(state.is_given && state.expected == EntryName());
  if (state.answer.steps.empty()) state.answer.steps.resize(ops.size());
  CHECK(state.answer.steps.size() == ops.size());  // what was evaluated
  for (size_t i = 0; i < ops.size(); ++i) state.answer.steps[i].op = ops[i];
  state.expected = EntryName(origin, number);
  state.done = std::move(done);
  CHECK(expected_.emplace(state.expected, hold).second);
}

}  // namespace tidemark::kvstore
