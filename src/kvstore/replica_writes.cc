// Writes that stay inside the partition: enter, evaluate, append, answer (design note "A write's
// way"). Ranges inside a txn are read when the entry is applied, so they need not wait for
// writes in flight.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "src/base/check.h"
#include "src/base/failpoint.h"
#include "src/base/log.h"
#include "src/base/release.h"
#include "src/kvstore/effects.h"
#include "src/kvstore/etcd_errors.h"
#include "src/kvstore/replica_impl.h"

namespace tidemark::kvstore {

using mvcc::SegmentRoom;
using mvcc::SingleKey;

void ReplicaImpl::Put(PutRequest request, Callback<PutResult> done) {
  Submit(std::move(request), std::move(done));
}

void ReplicaImpl::DeleteRange(DeleteRangeRequest request, Callback<DeleteResult> done) {
  Submit(std::move(request), std::move(done));
}

void ReplicaImpl::Txn(TxnRequest request, Callback<TxnResult> done) {
  stats_.txns_total.fetch_add(1, std::memory_order_relaxed);
  Submit(std::move(request), std::move(done));
}

template <typename Request, typename Result>
void ReplicaImpl::Submit(Request request, Callback<Result> done) {
  if (absl::Status status = Writable(); !status.ok()) {
    done(status);
    return;
  }
  if (writes_.size() >= options_.max_pending_writes) {
    done(ErrTooManyRequests());
    return;
  }
  Write& write = writes_.emplace_back(*this, std::move(request), std::move(done));
  write.self = std::prev(writes_.end());
  const Request& stored = std::get<Request>(write.request);
  if constexpr (std::is_same_v<Request, PutRequest>) {
    DescribePut(stored, &write.footprint);
  } else if constexpr (std::is_same_v<Request, DeleteRangeRequest>) {
    DescribeDelete(stored, &write.footprint);
  } else {
    DescribeTxn(stored, &write.footprint);
  }
  in_flight_.Arrive(&write);
}

absl::Status ReplicaImpl::Writable() const {
  if (journal_stopped_) return ErrStopped();
  if (!primary_) return ErrNoLeader();
  return absl::OkStatus();
}

void ReplicaImpl::DescribePut(const PutRequest& put, Footprint* footprint) const {
  footprint->writes.push_back(SingleKey(put.key()));
  if (put.ignore_value() || put.ignore_lease()) footprint->reads.push_back(SingleKey(put.key()));
  if (put.lease() != 0) footprint->attaches.push_back(LeaseId(put.lease()));
  if (!put.ignore_lease()) return;
  // The lease it will keep, unless that changes meanwhile: one whose revocation waits is not
  // overtaken for ever.
  const std::optional<mvcc::KeyValue> stored = store_->Get(put.key(), mvcc::kLatest);
  if (!stored.has_value() || stored->lease.value() == 0) return;
  footprint->attaches.push_back(stored->lease);
}

void ReplicaImpl::DescribeDelete(const DeleteRangeRequest& request, Footprint* footprint) {
  const mvcc::KeyRangeView range = mvcc::FromEtcd(request.key(), request.range_end());
  footprint->reads.push_back(range);
  footprint->writes.push_back(range);
}

// Both branches: which one is taken is known only when nothing moves any more.
void ReplicaImpl::DescribeTxn(const TxnRequest& txn, Footprint* footprint) const {
  for (const etcdserverpb::Compare& compare : txn.compare()) {
    footprint->reads.push_back(mvcc::FromEtcd(compare.key(), compare.range_end()));
  }
  for (const auto* branch : {&txn.success(), &txn.failure()}) {
    for (const etcdserverpb::RequestOp& op : *branch) {
      if (op.has_request_put()) DescribePut(op.request_put(), footprint);
      if (op.has_request_delete_range()) DescribeDelete(op.request_delete_range(), footprint);
      if (op.has_request_txn()) DescribeTxn(op.request_txn(), footprint);
    }
  }
}

// --- Evaluation: nothing that the write depends on is in flight or held. ---

void ReplicaImpl::EvaluateWrite(Write* write) {
  if (absl::Status status = Writable(); !status.ok()) {
    Fail(write, status);
    return;
  }
  if (const auto* put = std::get_if<PutRequest>(&write->request)) {
    EvaluatePut(write, *put);
  } else if (const auto* deletion = std::get_if<DeleteRangeRequest>(&write->request)) {
    PlannedOp op;
    op.delete_range = deletion;
    EvaluateOps(write, {&op, 1});
  } else {
    const Evaluator judge = evaluator();
    TxnPath path = DecideTxnPath(
        std::get<TxnRequest>(write->request),
        [&](const etcdserverpb::Compare& compare) { return judge.Holds(compare, mvcc::kLatest); });
    write->shape = std::move(path.shape);
    EvaluateOps(write, path.ops);
  }
}

void ReplicaImpl::EvaluatePut(Write* write, const PutRequest& put) {
  if (absl::Status status = evaluator().CheckPut(put); !status.ok()) {
    AnswerWithoutEffects(write, status);
    return;
  }
  PlannedOp op;
  op.put = &put;
  if (put.ignore_value() || put.ignore_lease()) {
    EvaluateOps(write, {&op, 1});
    return;
  }
  if (!ReserveRoom(write, SegmentRoom::RecordBytes(put.key().size(), put.value().size()))) return;
  write->answer.steps.clear();
  write->answer.steps.push_back({.op = op, .change_count = 1, .past_read = std::nullopt});
  AppendPayload(write,
                EncodeSinglePut(options_.partition, put.key(), put.value(), LeaseId(put.lease())));
}

void ReplicaImpl::EvaluateOps(Write* write, absl::Span<const PlannedOp> ops) {
  absl::StatusOr<Evaluation> evaluation = evaluator().Evaluate(ops);
  if (!evaluation.ok() || evaluation->changes.empty()) {
    AnswerWithoutEffects(write, std::move(evaluation));
    return;
  }
  AppendChanges(write, *std::move(evaluation));
}

void ReplicaImpl::AnswerWithoutEffects(Write* write, absl::StatusOr<Evaluation> evaluation) {
  if (!write->confirmed && !PLANTED_BUG("kvstore_refusal_not_confirmed")) {
    barrier_.Ask([this, write](absl::StatusOr<journal::Tail> tail) {
      if (!tail.ok()) {
        Fail(write, tail.status());
        return;
      }
      write->confirmed = true;
      in_flight_.Arrive(write);
    });
    return;
  }
  if (!evaluation.ok()) {
    Fail(write, evaluation.status());
    return;
  }
  Answer(write, watermark_.revision,
         evaluator().ResultsWithoutChanges(std::move(evaluation->answer)));
}

// --- Ordering ---

bool ReplicaImpl::ReserveRoom(Write* write, int64_t record_bytes) {
  if (options_.store.room == nullptr) return true;
  write->room = options_.store.room->Reserve(record_bytes);
  if (!write->room.empty()) return true;
  Fail(write, ErrNoSpace());
  return false;
}

void ReplicaImpl::AppendChanges(Write* write, Evaluation evaluation) {
  if (!ReserveRoom(write, StoredBytes(evaluation.changes))) return;
  EffectsWriter effects;
  effects.AddKeyChanges(options_.partition, evaluation.changes);
  write->answer = std::move(evaluation.answer);
  write->changes = std::move(evaluation.changes);
  // In flight it is exactly its keys, not all that it might have touched.
  Footprint& footprint = write->footprint;
  footprint.writes.clear();
  footprint.attaches.clear();
  for (KeyChange& change : write->changes) {
    footprint.writes.push_back(SingleKey(change.key));
    if (change.lease.value() != 0) footprint.attaches.push_back(change.lease);
    tidemark::Release(change.value);
  }
  AppendPayload(write, std::move(effects).Take());
}

void ReplicaImpl::AppendPayload(Write* write, std::string payload) {
  CHECK(failed_from_ == 0);
  if (payload.size() > journal_.payload_bytes_max() &&
      !PLANTED_BUG("kvstore_numbers_what_is_too_large")) {
    return Fail(write, ErrRequestTooLarge());
  }
  write->footprint.reads.clear();
  in_flight_.AddAppended(write->footprint);
  const uint64_t number = first_appended_ + appended_.size();
  appended_.push_back(write);

  journal::Record record;
  record.changes_keys = true;
  record.partitions.push_back({options_.partition, epoch_});
  record.origin = options_.origin;
  record.origin_number = number;
  record.payload = std::move(payload);
  if (PLANTED_BUG("kvstore_answer_before_apply") &&
      std::holds_alternative<PutRequest>(write->request)) {
    write->answered = true;
    std::get<Callback<PutResult>>(write->done)(
        Reply<PutResult>{journal_.KnownTail().revision.Next(), {}});
  }
  journal_.Append(
      std::move(record), [this, executor = &executor_, number, alive = std::weak_ptr<bool>(alive_)](
                             absl::StatusOr<journal::Placed> placed) mutable {
        if (placed.ok()) return;  // the entry itself arrives by subscription
        executor->Post([this, alive = std::move(alive), number, status = placed.status()] {
          if (!alive.expired()) OnAppendFailed(number, status);
        });
      });
}

ReplicaImpl::Write* ReplicaImpl::TakeAppended(const journal::Entry& entry) {
  if (entry.origin_number < first_appended_) return nullptr;
  if (entry.origin_number >= first_appended_ + appended_.size()) return nullptr;
  // The journal keeps the order of one origin: nothing before it can still come.
  CHECK(entry.origin_number == first_appended_);
  Write* write = appended_.front();
  appended_.pop_front();
  ++first_appended_;
  return write;  // nullptr: it was given up with its outcome unknown, and happened
}

void ReplicaImpl::OnAppendFailed(uint64_t number, absl::Status status) {
  if (number < first_appended_ || number >= first_appended_ + appended_.size()) return;
  Write* write = std::exchange(appended_[number - first_appended_], nullptr);
  CHECK(write != nullptr);
  const bool first = failed_from_ == 0;
  const absl::Status refusal = RefusalFor(status);
  if (first || number < failed_from_) failed_from_ = number;
  if (first) {
    TLOG(kWarn, "journal refused an append",
         {{"partition", options_.partition.value()}, {"error", status.message()}});
    in_flight_.Pause();
  }
  in_flight_.RemoveAppended(write->footprint);
  Fail(write, refusal);
  RestartNumbering();
  RetryDrainingHolds();
  in_flight_.Pump();
}

absl::Status ReplicaImpl::RefusalFor(const absl::Status& append_error) {
  switch (append_error.code()) {
    case absl::StatusCode::kFailedPrecondition:
      primary_ = false;
      append_refusal_ = ErrNoLeader();
      break;
    case absl::StatusCode::kResourceExhausted:
      append_refusal_ = ErrNoSpace();
      break;
    case absl::StatusCode::kUnknown:
      // Full as well, but this one may be found by the next life; those behind it will not.
      append_refusal_ = ErrNoSpace();
      return ErrTimeout();
    case absl::StatusCode::kInvalidArgument:
      return ErrRequestTooLarge();  // this one only: those behind it may be small
    case absl::StatusCode::kAborted:
      // Behind a failed one: nothing was written, for the reason of the first.
      return append_refusal_.ok() ? ErrTimeout() : append_refusal_;
    case absl::StatusCode::kDeadlineExceeded:
      if (PLANTED_BUG("kvstore_full_mailbox_stops_it")) journal_stopped_ = true;
      append_refusal_ = ErrTooManyRequests();
      break;
    default:
      // The outcome is unknown, so the number cannot be used again by this origin.
      journal_stopped_ = true;
      append_refusal_ = ErrStopped();
      break;
  }
  return append_refusal_;
}

void ReplicaImpl::RestartNumbering() {
  CHECK(failed_from_ >= first_appended_);
  const size_t kept = failed_from_ - first_appended_;
  for (size_t i = kept; i < appended_.size(); ++i) {
    if (appended_[i] != nullptr) return;  // its failure is still to come
  }
  // Outcomes unknown: the slots stay, should the entries turn up after all.
  if (!journal_stopped_) appended_.resize(kept);
  failed_from_ = 0;
  append_refusal_ = absl::OkStatus();
  in_flight_.Resume();
}

// --- Answers ---

void ReplicaImpl::Answer(Write* write, Revision revision, std::vector<OpResult> results) {
  auto done = std::move(write->done);
  const bool answered = write->answered;
  if (auto* txn = std::get_if<Callback<TxnResult>>(&done)) {
    Reply<TxnResult> reply{revision, BuildTxnResult(write->shape, std::move(results))};
    writes_.erase(write->self);
    return (*txn)(std::move(reply));
  }
  writes_.erase(write->self);
  if (answered) return;
  if (auto* put = std::get_if<Callback<PutResult>>(&done)) {
    CHECK(results.size() == 1);
    (*put)(Reply<PutResult>{revision, std::get<PutResult>(std::move(results[0].result))});
  } else {
    CHECK(results.size() == 1);
    std::get<Callback<DeleteResult>>(done)(
        Reply<DeleteResult>{revision, std::get<DeleteResult>(std::move(results[0].result))});
  }
}

void ReplicaImpl::Fail(Write* write, const absl::Status& status) {
  CHECK(!status.ok());
  auto done = std::move(write->done);
  const bool answered = write->answered;
  writes_.erase(write->self);
  if (answered) return;
  std::visit([&](auto& callback) { callback(status); }, done);
}

}  // namespace tidemark::kvstore
