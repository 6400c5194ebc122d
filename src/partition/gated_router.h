// A router in front of another one while the node starts: each request waits at the StartGate for
// the partitions that it concerns.
//
// Hides which partitions those are. Besides the owners of its keys:
//  - a write needs the system partition, which knows the node's alarms;
//  - what spans partitions needs the system partition, on whose sequence it is coordinated;
//  - a write that adds data needs all of them, unless there is ample room beside what is still to
//    be loaded: only then is it known how full the store is;
//  - leases, compactions, alarms, hashes and barriers are about all of them.
// Watches pass: a partition that is not whole makes their ports wait (watch_port.h).
// Thread-safe.
#pragma once

#include <memory>
#include <type_traits>
#include <vector>

#include "src/partition/partition_map.h"
#include "src/partition/router.h"
#include "src/partition/space_guard.h"
#include "src/partition/start_gate.h"

namespace tidemark::partition {

class GatedRouter final : public Router {
 public:
  struct Wiring {
    Router& inner;
    StartGate& gate;
    const PartitionMap& map;
    const SpaceGuard& guard;
  };
  GatedRouter(Wiring wiring, size_t max_txn_ops) : w_(wiring), max_txn_ops_(max_txn_ops) {}

  void Range(CallContext context, etcdserverpb::RangeRequest request,
             ReplyCallback<kvstore::RangeResult> done) override;
  void RangePage(CallContext context, etcdserverpb::RangeRequest request,
                 ReplyCallback<kvstore::RangeResult> done) override;
  void Put(CallContext context, etcdserverpb::PutRequest request,
           ReplyCallback<kvstore::PutResult> done) override;
  void DeleteRange(CallContext context, etcdserverpb::DeleteRangeRequest request,
                   ReplyCallback<kvstore::DeleteResult> done) override;
  void Txn(CallContext context, etcdserverpb::TxnRequest request,
           ReplyCallback<kvstore::TxnResult> done) override;
  void Compact(CallContext context, etcdserverpb::CompactionRequest request,
               ReplyCallback<Nothing> done) override;
  std::unique_ptr<WatchStream> OpenWatch(Executor& executor, WatchOutput& output) override {
    return w_.inner.OpenWatch(executor, output);
  }
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
  NodeStatus Status() const override { return w_.inner.Status(); }

 private:
  using Partitions = std::vector<PartitionId>;
  template <typename Result, typename Request>
  using Call = void (Router::*)(CallContext, Request, ReplyCallback<Result>);

  Partitions NeededToRead(const etcdserverpb::RangeRequest& request) const;
  Partitions NeededToWrite(Partitions owners, int64_t cost_bytes) const;
  Partitions NeededBy(const etcdserverpb::TxnRequest& request) const;
  // Runs `go(done)` at once, or when all that are needed are whole.
  template <typename Result, typename Run>
  void Pass(Partitions needed, const CallContext& context, ReplyCallback<Result> done, Run go);
  // The same for what concerns the partitions that `needed(request)` names.
  template <typename Result, typename Request, typename Needed>
  void PassOne(Call<Result, Request> call, CallContext&& context,
               std::type_identity_t<Request>&& request, ReplyCallback<Result>&& done,
               Needed needed);
  template <typename Result, typename Run>
  void PassAll(const CallContext& context, ReplyCallback<Result> done, Run go);

  const Wiring w_;
  const size_t max_txn_ops_;
};

}  // namespace tidemark::partition
