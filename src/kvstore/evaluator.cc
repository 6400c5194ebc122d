#include "src/kvstore/evaluator.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/container/btree_map.h"
#include "src/base/check.h"
#include "src/base/failpoint.h"
#include "src/kvstore/etcd_errors.h"
#include "src/kvstore/range_reader.h"

namespace tidemark::kvstore {

using etcdserverpb::DeleteRangeRequest;
using etcdserverpb::PutRequest;
using etcdserverpb::RangeRequest;

// The keys that earlier operations of the same write changed.
class Evaluator::Overlay {
 public:
  struct Key {
    bool alive = false;
    std::string value;
    LeaseId lease{0};
  };
  explicit Overlay(bool needed) : needed_(needed) {}

  const Key* Find(absl::string_view key) const {
    auto it = keys_.find(key);
    return it == keys_.end() ? nullptr : &it->second;
  }
  void Put(absl::string_view key, absl::string_view value, LeaseId lease) {
    if (needed_) keys_[std::string(key)] = Key{true, std::string(value), lease};
  }
  void Delete(absl::string_view key) {
    if (needed_) keys_[std::string(key)] = Key{};
  }
  const absl::btree_map<std::string, Key>& keys() const { return keys_; }

 private:
  const bool needed_;  // a write with one operation has no later one that could look
  absl::btree_map<std::string, Key> keys_;
};

Replica::CompareOutcome Evaluator::Compare(const etcdserverpb::Compare& compare,
                                           Revision at) const {
  Replica::CompareOutcome outcome;
  const mvcc::KeyRangeView range = mvcc::FromEtcd(compare.key(), compare.range_end());
  if (range.Empty()) return outcome;
  store_.Visit(range, at, [&](const mvcc::KeyValueView& kv) {
    outcome.exists = true;
    outcome.holds = CompareHolds(compare, kv);
    return outcome.holds;
  });
  return outcome;
}

bool Evaluator::Holds(const etcdserverpb::Compare& compare, Revision at) const {
  const Replica::CompareOutcome outcome = Compare(compare, at);
  return outcome.exists ? outcome.holds : CompareHoldsForMissing(compare);
}

absl::Status Evaluator::CheckPut(const PutRequest& put) const {
  if (put.lease() != 0 && !leases_.Exists(LeaseId(put.lease()))) return ErrLeaseNotFound();
  if ((put.ignore_value() || put.ignore_lease()) &&
      !store_.Get(put.key(), mvcc::kLatest).has_value()) {
    return ErrKeyNotFound();
  }
  return absl::OkStatus();
}

absl::Status Evaluator::CheckRangeInTxn(const RangeRequest& range) const {
  return CheckRevisionInTxn(range, current_, store_.compact_revision());
}

absl::Status Evaluator::PreCheck(const PlannedOp& op) const {
  if (op.range != nullptr) return CheckRangeInTxn(*op.range);
  return op.put != nullptr ? CheckPut(*op.put) : absl::OkStatus();
}

absl::Status Evaluator::AddPut(const PutRequest& put, Overlay* overlay, Evaluation* out) const {
  KeyChange change;
  change.op = out->answer.steps.size();
  change.sub = static_cast<int64_t>(out->changes.size());
  change.key = put.key();
  change.lease = LeaseId(put.lease());
  if (!put.ignore_value()) change.value = put.value();
  if (put.ignore_value() || put.ignore_lease()) {
    if (const Overlay::Key* earlier = overlay->Find(put.key())) {
      // etcd would end its process here: an earlier operation of this txn deleted the key.
      if (!earlier->alive) return ErrKeyNotFound();
      if (put.ignore_value()) change.value = earlier->value;
      if (put.ignore_lease()) change.lease = earlier->lease;
    } else {
      std::optional<mvcc::KeyValue> stored = store_.Get(put.key(), mvcc::kLatest);
      if (!stored.has_value()) return ErrKeyNotFound();
      if (put.ignore_value()) change.value.assign(stored->value.data(), stored->value.size());
      if (put.ignore_lease()) change.lease = stored->lease;
    }
  }
  overlay->Put(change.key, change.value, change.lease);
  out->changes.push_back(std::move(change));
  return absl::OkStatus();
}

void Evaluator::AddDeletes(const DeleteRangeRequest& request, Overlay* overlay,
                           Evaluation* out) const {
  const mvcc::KeyRangeView range = mvcc::FromEtcd(request.key(), request.range_end());
  if (range.Empty()) return;
  std::vector<std::string> keys;
  store_.Visit(range, mvcc::kLatest, [&](const mvcc::KeyValueView& kv) {
    if (overlay->Find(kv.key) == nullptr) keys.emplace_back(kv.key);
    return true;
  });
  for (auto it = overlay->keys().lower_bound(range.begin); it != overlay->keys().end(); ++it) {
    if (!range.Contains(it->first)) break;
    if (it->second.alive) keys.push_back(it->first);
  }
  std::sort(keys.begin(), keys.end());
  for (std::string& key : keys) {
    overlay->Delete(key);
    KeyChange change;
    change.op = out->answer.steps.size();
    change.is_delete = true;
    change.sub = static_cast<int64_t>(out->changes.size());
    change.key = std::move(key);
    out->changes.push_back(std::move(change));
  }
}

absl::StatusOr<Evaluation> Evaluator::Evaluate(absl::Span<const PlannedOp> ops,
                                               size_t* refused_op) const {
  FAIL_POINT("kvstore.evaluate");
  const auto refuse = [refused_op](size_t op, absl::Status status) {
    if (refused_op != nullptr) *refused_op = op;
    return status;
  };
  for (size_t i = 0; i < ops.size(); ++i) {
    if (absl::Status status = PreCheck(ops[i]); !status.ok()) return refuse(i, std::move(status));
  }
  Evaluation evaluation;
  evaluation.answer.steps.reserve(ops.size());
  Overlay overlay(/*needed=*/ops.size() > 1);
  for (const PlannedOp& op : ops) {
    PlannedAnswer::Step step{.op = op, .change_count = 0, .past_read = std::nullopt};
    const size_t changes_before = evaluation.changes.size();
    if (op.put != nullptr) {
      absl::Status added = AddPut(*op.put, &overlay, &evaluation);
      if (!added.ok()) return refuse(evaluation.answer.steps.size(), std::move(added));
    } else if (op.delete_range != nullptr) {
      AddDeletes(*op.delete_range, &overlay, &evaluation);
    } else {
      CHECK(op.range != nullptr);
      if (op.range->revision() > 0) {
        step.past_read = ReadRange(store_, *op.range, Revision(op.range->revision()));
      }
    }
    step.change_count = evaluation.changes.size() - changes_before;
    evaluation.answer.steps.push_back(std::move(step));
  }
  return evaluation;
}

std::vector<OpResult> Evaluator::ResultsWithoutChanges(PlannedAnswer answer) const {
  std::vector<OpResult> results;
  results.reserve(answer.steps.size());
  for (PlannedAnswer::Step& step : answer.steps) {
    CHECK(step.op.put == nullptr && step.change_count == 0);
    OpResult result;
    result.header_revision = current_;
    if (step.op.delete_range != nullptr) {
      result.result = DeleteResult();
    } else if (step.past_read.has_value()) {
      result.result = *std::move(step.past_read);
    } else {
      result.result = ReadRange(store_, *step.op.range, mvcc::kLatest);
    }
    results.push_back(std::move(result));
  }
  return results;
}

}  // namespace tidemark::kvstore
