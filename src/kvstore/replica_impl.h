// The pipeline behind kvstore::Replica. Private to the module.
//
// Files: replica.cc (life, apply, maintenance), replica_images.cc (start from images and giving
// them), replica_writes.cc (writes inside the partition),
// replica_holds.cc (parts of writes that span partitions), replica_reads.cc.
//
// Invariants:
//  1. A Write is in exactly one place: waiting to enter, confirming a refusal, or appended.
//  2. appended_[i] carries the origin's number first_appended_ + i; entries of this origin are
//     applied in that order.
//  3. After a failed append nothing of this origin enters until all appends behind it have failed
//     too; then numbering goes on at the first failed number.
#pragma once

#include <deque>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "src/kvstore/applier.h"
#include "src/kvstore/evaluator.h"
#include "src/kvstore/in_flight.h"
#include "src/kvstore/lease_table.h"
#include "src/kvstore/read_barrier.h"
#include "src/kvstore/replica.h"

namespace tidemark::kvstore {

class ReplicaImpl final : public Replica {
 public:
  ReplicaImpl(ReplicaOptions options, Executor& executor, Clock& clock, journal::Journal& journal,
              MemoryMapper& memory, ApplyObserver* observer);
  ~ReplicaImpl() override;

  void Start(const StartFrom& from) override;
  void Apply(const journal::Batch& batch) override;
  void BecomePrimary(StatusCallback done) override;
  Epoch epoch() const override { return epoch_; }
  journal::Tail watermark() const override { return watermark_; }

  void Put(PutRequest request, Callback<PutResult> done) override;
  void DeleteRange(DeleteRangeRequest request, Callback<DeleteResult> done) override;
  void Txn(TxnRequest request, Callback<TxnResult> done) override;

  void Range(RangeRequest request, Freshness freshness, Callback<RangeResult> done) override;
  void RangePage(RangeRequest request, Freshness freshness, Callback<RangeResult> done) override;
  void ReadTxn(TxnRequest request, Freshness freshness, Callback<TxnResult> done) override;
  void WhenApplied(Position position,
                   absl::AnyInvocable<void(journal::Tail reached)> done) override;
  void Barrier(absl::AnyInvocable<void(absl::StatusOr<journal::Tail>)> done) override;

  void Hold(Scope scope, absl::AnyInvocable<void(HoldId)> done) override;
  void Release(HoldId hold) override;
  CompareOutcome Compare(HoldId hold, const etcdserverpb::Compare& compare) override;
  absl::StatusOr<std::vector<KeyChange>> Evaluate(HoldId hold, absl::Span<const PlannedOp> ops,
                                                  size_t* refused_op) override;
  std::vector<std::string> LeaseKeys(LeaseId lease) override { return leases_.Keys(lease); }
  void ExpectEntry(HoldId hold, OriginId origin, uint64_t number, std::vector<PlannedOp> ops,
                   absl::AnyInvocable<void(Reply<std::vector<OpResult>>)> done) override;

  bool LeaseExists(LeaseId lease) const override { return leases_.Exists(lease); }

  void RunCompaction(Revision up_to, Pace pace, absl::AnyInvocable<void()> done) override;
  Image BeginImage() override;
  void EndImage() override;
  mvcc::VersionStore& store() override { return *store_; }
  mvcc::WatchSet& watches() override { return *watches_; }
  void KickWatches() override;

  const PublishedStats& stats() const override { return stats_; }
  Executor& executor() override { return executor_; }
  PartitionId partition() const override { return options_.partition; }
  void CheckInvariants() const override;

 private:
  struct Write;
  struct HoldState;
  struct ReadJob;
  using Writes = std::list<Write>;
  using EntryName = std::pair<OriginId, uint64_t>;

  // replica.cc
  void ApplyEntry(const journal::Entry& entry);
  void ApplyClaim(const journal::Entry& entry);
  void ApplyData(const journal::Entry& entry, bool named);
  void AfterApply();
  void AttachLeases();
  void NoteSlowApply(absl::Duration took, size_t entry_count);
  void PublishStats();
  void CompactionStep();
  void CatchUpStep();
  void PostToSelf(Task task, absl::Duration rest = absl::ZeroDuration());
  Evaluator evaluator() const { return Evaluator(*store_, leases_, watermark_.revision); }

  // replica_writes.cc
  template <typename Request, typename Result>
  void Submit(Request request, Callback<Result> done);
  absl::Status Writable() const;
  void DescribePut(const PutRequest& put, Footprint* footprint) const;
  static void DescribeDelete(const DeleteRangeRequest& request, Footprint* footprint);
  void DescribeTxn(const TxnRequest& txn, Footprint* footprint) const;
  void EvaluateWrite(Write* write);
  void EvaluatePut(Write* write, const PutRequest& put);
  void EvaluateOps(Write* write, absl::Span<const PlannedOp> ops);
  // Sets memory aside for the records; false, and the write has failed, when there is none.
  bool ReserveRoom(Write* write, int64_t record_bytes);
  void AppendChanges(Write* write, Evaluation evaluation);
  void AppendPayload(Write* write, std::string payload);
  // A refusal, or an answer without effects: given once it is confirmed.
  void AnswerWithoutEffects(Write* write, absl::StatusOr<Evaluation> evaluation);
  void Answer(Write* write, Revision revision, std::vector<OpResult> results);
  void Fail(Write* write, const absl::Status& status);
  void OnAppendFailed(uint64_t number, absl::Status status);
  absl::Status RefusalFor(const absl::Status& append_error);
  void RestartNumbering();
  Write* TakeAppended(const journal::Entry& entry);

  // replica_holds.cc
  void OnHoldEntered(HoldState* hold);
  bool IsDrained(HoldState* hold) const;
  void GiveHold(HoldState* hold);
  void RetryDrainingHolds();
  void EndHold(HoldId id);
  HoldState& FindHold(HoldId id);

  // replica_reads.cc
  void StartRead(std::shared_ptr<ReadJob> job);
  void PlanRead(std::shared_ptr<ReadJob> job);
  absl::Status PlanReaders(ReadJob* job);
  void StepRead(std::shared_ptr<ReadJob> job);
  void StepReadLater(std::shared_ptr<ReadJob> job);
  bool HoldMemory(ReadJob* job, int64_t bytes) const;
  void EndRead();
  void FinishRange(ReadJob* job, RangeResult&& range);
  void FinishTxn(ReadJob* job);
  void FailRead(ReadJob* job, const absl::Status& status);

  const ReplicaOptions options_;
  Executor& executor_;
  Clock& clock_;
  journal::Journal& journal_;
  std::shared_ptr<bool> alive_;  // tasks that outlive the replica do nothing

  std::unique_ptr<mvcc::VersionStore> store_;
  std::unique_ptr<mvcc::WatchSet> watches_;
  LeaseTable leases_;
  AlarmSet alarms_;
  ApplyObserver* const observer_;
  Applier applier_;
  ReadBarrier barrier_;
  InFlight in_flight_;

  journal::Tail watermark_;
  Epoch epoch_{0};
  bool started_ = false;
  bool leases_attached_ = false;
  bool primary_ = false;
  bool journal_stopped_ = false;

  Writes writes_;  // all that are not answered yet
  uint64_t first_appended_ = 1;
  std::deque<Write*> appended_;  // nullptr: failed
  uint64_t failed_from_ = 0;     // 0: none
  absl::Status append_refusal_;  // what the first failed append meant
  struct Finished {
    Write* write;
    Revision revision;
    std::vector<OpResult> results;
  };
  std::vector<Finished> finished_;
  std::vector<absl::AnyInvocable<void()>> finished_holds_;

  HoldId last_hold_ = 0;
  std::map<HoldId, std::unique_ptr<HoldState>> holds_;
  std::vector<HoldId> draining_holds_;
  absl::flat_hash_map<EntryName, HoldId> expected_;

  size_t reads_running_ = 0;
  bool image_open_ = false;
  bool compaction_running_ = false;
  bool compaction_hurries_ = false;
  Revision compaction_up_to_ = mvcc::kNeverCompacted;
  bool compaction_paused_ = false;  // for an image
  std::vector<absl::AnyInvocable<void()>> compaction_waiters_;
  bool catch_up_running_ = false;

  MemoryCharge index_charge_;
  PublishedStats stats_;
};

struct ReplicaImpl::Write final : Entrant {
  Write(ReplicaImpl& r, std::variant<PutRequest, DeleteRangeRequest, TxnRequest> req,
        std::variant<Callback<PutResult>, Callback<DeleteResult>, Callback<TxnResult>> d)
      : Entrant(/*is_hold=*/false), replica(r), request(std::move(req)), done(std::move(d)) {}
  void Enter() override { replica.EvaluateWrite(this); }

  ReplicaImpl& replica;
  const std::variant<PutRequest, DeleteRangeRequest, TxnRequest> request;
  std::variant<Callback<PutResult>, Callback<DeleteResult>, Callback<TxnResult>> done;
  Writes::iterator self;
  // A tail confirmed after arrival is applied: any state from now on counts.
  bool confirmed = false;
  bool answered = false;
  std::vector<KeyChange> changes;  // keys for the footprint while appended; without values
  mvcc::SegmentRoom::Reservation room;
  PlannedAnswer answer;
  TxnShape shape;
};

struct ReplicaImpl::HoldState final : Entrant {
  HoldState(ReplicaImpl& r, HoldId i, Scope s, absl::AnyInvocable<void(HoldId)> g)
      : Entrant(/*is_hold=*/true), replica(r), id(i), scope(std::move(s)), given(std::move(g)) {}
  void Enter() override { replica.OnHoldEntered(this); }

  ReplicaImpl& replica;
  const HoldId id;
  const Scope scope;
  absl::AnyInvocable<void(HoldId)> given;
  bool is_given = false;
  std::vector<std::string> lease_keys;  // attached to leases that it revokes
  size_t busy_key = 0;                  // which of them it was last found to wait for
  PlannedAnswer answer;
  EntryName expected{};
  absl::AnyInvocable<void(Reply<std::vector<OpResult>>)> done;
};

}  // namespace tidemark::kvstore
