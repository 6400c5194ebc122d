// Router over the replicas of this process.
//
// Hides which way a request goes: straight to its partition's sequence, or into the coordinator.
// Behind a GatedRouter: REQUIRES that the partitions a request needs are whole.
// Thread-safe. Refusals that need no state are posted too: no callback runs inside a call.
#pragma once

#include <atomic>
#include <memory>
#include <utility>

#include "src/base/clock.h"
#include "src/kvstore/range_reader.h"
#include "src/partition/compaction.h"
#include "src/partition/coordinator.h"
#include "src/partition/lease_manager.h"
#include "src/partition/read_gate.h"
#include "src/partition/router.h"
#include "src/partition/space_guard.h"

namespace tidemark::partition {

struct RouterLimits {
  size_t max_request_bytes = 0;
  size_t max_txn_ops = 0;
  size_t watch_credit_bytes = 0;
};

class LocalRouter final : public Router {
 public:
  struct Wiring {
    const Parts& parts;
    journal::Journal& journal;
    Clock& clock;
    Coordinator& coordinator;
    SpaceGuard& guard;
    LeaseManager& leases;
    CompactionRunner& compactions;
    ReadGate& reads;
    MemoryBudget& memory;
    const std::atomic<int64_t>& lease_count;
  };
  LocalRouter(Wiring wiring, RouterLimits limits) : w_(wiring), limits_(limits) {}

  void SetStopped() { stopped_ = true; }

  void Range(CallContext context, etcdserverpb::RangeRequest request,
             ReplyCallback<kvstore::RangeResult> done) override {
    ReadRange(std::move(context), std::move(request), kvstore::RangeCount::kWhole, std::move(done));
  }
  void RangePage(CallContext context, etcdserverpb::RangeRequest request,
                 ReplyCallback<kvstore::RangeResult> done) override {
    ReadRange(std::move(context), std::move(request), kvstore::RangeCount::kNone, std::move(done));
  }
  void Put(CallContext context, etcdserverpb::PutRequest request,
           ReplyCallback<kvstore::PutResult> done) override;
  void DeleteRange(CallContext context, etcdserverpb::DeleteRangeRequest request,
                   ReplyCallback<kvstore::DeleteResult> done) override;
  void Txn(CallContext context, etcdserverpb::TxnRequest request,
           ReplyCallback<kvstore::TxnResult> done) override;
  void Compact(CallContext context, etcdserverpb::CompactionRequest request,
               ReplyCallback<Nothing> done) override;
  std::unique_ptr<WatchStream> OpenWatch(Executor& executor, WatchOutput& output) override;
  void LeaseGrant(int64_t id, int64_t ttl_seconds, ReplyCallback<LeaseGranted> done) override;
  void LeaseRevoke(LeaseId id, ReplyCallback<Nothing> done) override;
  void LeaseKeepAlive(LeaseId id, ReplyCallback<LeaseRemaining> done) override;
  void LeaseTimeToLive(LeaseId id, bool with_keys, ReplyCallback<LeaseLife> done) override;
  void LeaseLeases(ReplyCallback<std::vector<LeaseId>> done) override;
  void Alarm(etcdserverpb::AlarmRequest request,
             ReplyCallback<std::vector<AlarmEntry>> done) override;
  void HashKv(Revision revision, ReplyCallback<HashKvResult> done) override;
  void Defragment(ReplyCallback<Nothing> done) override;
  void Barrier(ReplyCallback<Nothing> done) override;
  NodeStatus Status() const override;

 private:
  // At once, or when there is memory for the answer.
  void ReadMany(CallContext&& context, etcdserverpb::RangeRequest&& request,
                kvstore::RangeCount count, ReplyCallback<kvstore::RangeResult>&& done);
  void ReadNow(CallContext&& context, etcdserverpb::RangeRequest&& request,
               kvstore::RangeCount count, ReplyCallback<kvstore::RangeResult>&& done);
  void RunTxn(CallContext&& context, etcdserverpb::TxnRequest&& request, bool read_only,
              ReplyCallback<kvstore::TxnResult>&& done);
  void ReadRange(CallContext&& context, etcdserverpb::RangeRequest&& request,
                 kvstore::RangeCount count, ReplyCallback<kvstore::RangeResult>&& done);
  absl::Status Available() const;
  absl::Status CheckWrite(const CallContext& context, bool adds_data) const;
  template <typename Result>
  void Refuse(absl::Status status, ReplyCallback<Result> done) {
    w_.coordinator.home().Post([status = std::move(status), done = std::move(done)]() mutable {
      done(std::move(status));
    });
  }
  template <typename Result>
  void RefuseForQuota(ReplyCallback<Result> done);
  // Runs `operation(done)` on home, inside the coordinator's bound.
  template <typename Result, typename Operation>
  void Operate(ReplyCallback<Result> done, Operation operation);
  // Runs `task(replica, done)` on the partition's sequence, unless the client has gone.
  template <typename Result, typename Run>
  void OnPartition(PartitionId id, CallContext&& context, ReplyCallback<Result>&& done, Run&& run);

  const Wiring w_;
  const RouterLimits limits_;
  std::atomic<bool> stopped_{false};
};

}  // namespace tidemark::partition
