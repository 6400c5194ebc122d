// Reads: at the watermark or at a confirmed tail, in bounded steps at one revision.
#include <algorithm>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "src/base/check.h"
#include "src/kvstore/etcd_errors.h"
#include "src/kvstore/range_reader.h"
#include "src/kvstore/replica_impl.h"

namespace tidemark::kvstore {
namespace {

// Not worth counting: less than what a call costs anyway.
constexpr int64_t kUncountedReadBytes = 16 << 10;
// Counted and never refused: a few keys (see ReadsMany), with values that are copied.
constexpr int64_t kFewKeysBytes = 96 << 10;
// Larger reads leave this part of the share to smaller ones.
constexpr int64_t kSmallReadBytes = 256 << 10;
constexpr int64_t kPartForSmallReads = 8;
// So many ranges of a txn are read in one turn, whatever they find: keys that are dead, or that a
// filter leaves out, are looked at as well.
constexpr size_t kRangesPerTurn = 8;

}  // namespace

// A Range is a read txn with one operation and without the tree.
struct ReplicaImpl::ReadJob {
  RangeRequest range;
  TxnRequest txn;
  Freshness freshness;
  RangeCount count = RangeCount::kWhole;
  Callback<RangeResult> range_done;
  Callback<TxnResult> txn_done;  // null for a Range

  // Of the present attempt:
  Revision current{0};  // the header's
  TxnShape shape;
  struct Reader {
    Revision at;
    RangeReader reader;
  };
  absl::InlinedVector<Reader, 1> readers;
  size_t next_reader = 0;
  std::vector<OpResult> results;
  int64_t finished_readers_bytes = 0;
  MemoryCharge charge;

  bool AtTail() const { return freshness.kind == Freshness::Kind::kAtTail; }
};

void ReplicaImpl::Range(RangeRequest request, Freshness freshness, Callback<RangeResult> done) {
  auto job = std::make_shared<ReadJob>();
  job->range = std::move(request);
  job->freshness = freshness;
  job->range_done = std::move(done);
  StartRead(std::move(job));
}

void ReplicaImpl::RangePage(RangeRequest request, Freshness freshness, Callback<RangeResult> done) {
  CHECK(request.limit() > 0 && !request.count_only());
  auto job = std::make_shared<ReadJob>();
  job->range = std::move(request);
  job->freshness = freshness;
  job->count = RangeCount::kNone;
  job->range_done = std::move(done);
  StartRead(std::move(job));
}

void ReplicaImpl::ReadTxn(TxnRequest request, Freshness freshness, Callback<TxnResult> done) {
  stats_.txns_total.fetch_add(1, std::memory_order_relaxed);
  auto job = std::make_shared<ReadJob>();
  job->txn = std::move(request);
  job->freshness = freshness;
  job->txn_done = std::move(done);
  StartRead(std::move(job));
}

void ReplicaImpl::StartRead(std::shared_ptr<ReadJob> job) {
  if (MemoryBudget* budget = options_.store.budget; budget != nullptr) {
    job->charge = MemoryCharge(*budget, MemoryAccount::kReads);
  }
  stats_.ranges_total.fetch_add(1, std::memory_order_relaxed);
  stats_.open_reads.store(static_cast<int64_t>(++reads_running_), std::memory_order_relaxed);
  if (reads_running_ > options_.max_pending_reads) {
    FailRead(job.get(), ErrTooManyRequests());
    return;
  }
  switch (job->freshness.kind) {
    case Freshness::Kind::kSerializable:
      barrier_.WhenApplied(journal_.KnownTail().position,
                           [this, job = std::move(job)]() mutable { PlanRead(std::move(job)); });
      return;
    case Freshness::Kind::kLinearizable:
      barrier_.Ask([this, job = std::move(job)](absl::StatusOr<journal::Tail> tail) mutable {
        if (!tail.ok()) {
          FailRead(job.get(), tail.status());
        } else {
          PlanRead(std::move(job));
        }
      });
      return;
    case Freshness::Kind::kAtTail: {
      const Position position = job->freshness.tail.position;
      barrier_.WhenApplied(position,
                           [this, job = std::move(job)]() mutable { PlanRead(std::move(job)); });
      return;
    }
  }
}

void ReplicaImpl::PlanRead(std::shared_ptr<ReadJob> job) {
  job->current = job->AtTail() ? job->freshness.tail.revision : watermark_.revision;
  CHECK(job->current <= watermark_.revision);
  job->readers.clear();
  job->results.clear();
  job->next_reader = 0;
  job->finished_readers_bytes = 0;
  job->charge.Set(0);
  if (absl::Status status = PlanReaders(job.get()); !status.ok()) {
    FailRead(job.get(), status);
    return;
  }
  StepRead(std::move(job));
}

absl::Status ReplicaImpl::PlanReaders(ReadJob* job) {
  if (job->current < store_->compact_revision()) return Overtaken();
  if (!job->txn_done) {
    absl::StatusOr<Revision> at =
        RevisionToRead(job->range, job->current, store_->compact_revision());
    if (!at.ok()) return at.status();
    job->readers.push_back({*at, RangeReader(*store_, job->range, *at, job->count)});
    return absl::OkStatus();
  }
  const Evaluator judge(*store_, leases_, job->current);
  TxnPath path = DecideTxnPath(job->txn, [&](const etcdserverpb::Compare& compare) {
    return judge.Holds(compare, job->current);
  });
  job->readers.reserve(path.ops.size());
  for (const PlannedOp& op : path.ops) {
    CHECK(op.range != nullptr);
    if (absl::Status status = judge.CheckRangeInTxn(*op.range); !status.ok()) return status;
    const Revision at = op.range->revision() > 0 ? Revision(op.range->revision()) : job->current;
    job->readers.push_back({at, RangeReader(*store_, *op.range, at)});
  }
  job->shape = std::move(path.shape);
  return absl::OkStatus();
}

void ReplicaImpl::StepRead(std::shared_ptr<ReadJob> job) {
  size_t keys_read = 0;
  for (; job->next_reader < job->readers.size(); ++job->next_reader) {
    if (keys_read >= options_.step_keys) return StepReadLater(std::move(job));
    ReadJob::Reader& next = job->readers[job->next_reader];
    if (next.at < store_->compact_revision()) {
      // Compacted between two steps. What asked for the present begins again at a newer one; what
      // asked for that revision is refused by the new plan.
      if (job->AtTail()) {
        FailRead(job.get(), Overtaken());
      } else {
        PlanRead(std::move(job));
      }
      return;
    }
    const bool complete = next.reader.Step(static_cast<int64_t>(options_.step_keys));
    if (!HoldMemory(job.get(), job->finished_readers_bytes + next.reader.heap_bytes())) {
      FailRead(job.get(), ErrTooManyRequests());
      return;
    }
    if (!complete) return StepReadLater(std::move(job));
    job->finished_readers_bytes += next.reader.heap_bytes();
    RangeResult range = std::move(next.reader).Take();
    if (!job->txn_done) return FinishRange(job.get(), std::move(range));
    const size_t least = next.reader.reads_one_key() ? 1 : options_.step_keys / kRangesPerTurn;
    keys_read += std::max({range.items.size(), least, size_t{1}});
    OpResult result;
    result.header_revision = job->current;
    result.result = std::move(range);
    job->results.push_back(std::move(result));
  }
  FinishTxn(job.get());
}

void ReplicaImpl::StepReadLater(std::shared_ptr<ReadJob> job) {
  PostToSelf([this, job = std::move(job)]() mutable { StepRead(std::move(job)); });
}

bool ReplicaImpl::HoldMemory(ReadJob* job, int64_t bytes) const {
  if (options_.store.budget == nullptr || bytes <= kUncountedReadBytes) return true;
  if (bytes <= kFewKeysBytes) {
    job->charge.Set(bytes);
    return true;
  }
  const int64_t share = options_.store.budget->share_bytes(MemoryAccount::kReads);
  return job->charge.TryRaise(bytes, bytes > kSmallReadBytes ? share / kPartForSmallReads : 0);
}

void ReplicaImpl::EndRead() {
  CHECK(reads_running_ > 0);
  stats_.open_reads.store(static_cast<int64_t>(--reads_running_), std::memory_order_relaxed);
}

void ReplicaImpl::FinishRange(ReadJob* job, RangeResult&& range) {
  EndRead();
  range.charge = std::move(job->charge);
  job->range_done(Reply<RangeResult>{job->current, std::move(range)});
}

void ReplicaImpl::FinishTxn(ReadJob* job) {
  EndRead();
  if (!job->results.empty()) {
    std::get<RangeResult>(job->results.front().result).charge = std::move(job->charge);
  }
  job->txn_done(
      Reply<TxnResult>{job->current, BuildTxnResult(job->shape, std::move(job->results))});
}

void ReplicaImpl::FailRead(ReadJob* job, const absl::Status& status) {
  EndRead();
  if (job->txn_done) {
    job->txn_done(status);
  } else {
    job->range_done(status);
  }
}

void ReplicaImpl::WhenApplied(Position position,
                              absl::AnyInvocable<void(journal::Tail reached)> done) {
  barrier_.WhenApplied(position, [this, done = std::move(done)]() mutable { done(watermark_); });
}

void ReplicaImpl::Barrier(absl::AnyInvocable<void(absl::StatusOr<journal::Tail>)> done) {
  if (barrier_.waiting_count() >= options_.max_pending_reads) {
    done(ErrTooManyRequests());
    return;
  }
  barrier_.Ask(std::move(done));
}

}  // namespace tidemark::kvstore
