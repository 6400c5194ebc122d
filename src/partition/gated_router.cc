#include "src/partition/gated_router.h"

#include <utility>

#include "src/base/failpoint.h"
#include "src/kvstore/range_reader.h"
#include "src/kvstore/request_checks.h"
#include "src/partition/txn_plan.h"

namespace tidemark::partition {

template <typename Result, typename Run>
void GatedRouter::Pass(Partitions needed, const CallContext& context, ReplyCallback<Result> done,
                       Run go) {
  if (w_.gate.AreWhole(needed)) return go(std::move(done));
  w_.gate.Wait(std::move(needed), context.cancelled, context.request_size_bytes,
               [done = std::move(done), go = std::move(go)](absl::Status status) mutable {
                 if (!status.ok()) return done(std::move(status));
                 go(std::move(done));
               });
}

template <typename Result, typename Request, typename Needed>
void GatedRouter::PassOne(Call<Result, Request> call, CallContext&& context,
                          std::type_identity_t<Request>&& request, ReplyCallback<Result>&& done,
                          Needed needed) {
  if (w_.gate.open()) {
    return (w_.inner.*call)(std::move(context), std::move(request), std::move(done));
  }
  Partitions partitions = needed(request);
  Pass<Result>(std::move(partitions), context, std::move(done),
               [this, call, context, request = std::move(request)](auto d) mutable {
                 (w_.inner.*call)(std::move(context), std::move(request), std::move(d));
               });
}

template <typename Result, typename Run>
void GatedRouter::PassAll(const CallContext& context, ReplyCallback<Result> done, Run go) {
  if (w_.gate.open()) return go(std::move(done));
  Pass<Result>(w_.map.ids(), context, std::move(done), std::move(go));
}

GatedRouter::Partitions GatedRouter::NeededToRead(const etcdserverpb::RangeRequest& request) const {
  Partitions owners = w_.map.Owners(mvcc::FromEtcd(request.key(), request.range_end()));
  if (owners.size() > 1) owners.push_back(kSystemPartition);
  return owners;
}

GatedRouter::Partitions GatedRouter::NeededToWrite(Partitions owners, int64_t cost_bytes) const {
  if (cost_bytes > 0 && !w_.guard.HasSpaceBesideLoading(cost_bytes)) return w_.map.ids();
  if (!PLANTED_BUG("gate_forgets_alarms")) owners.push_back(kSystemPartition);
  return owners;
}

GatedRouter::Partitions GatedRouter::NeededBy(const etcdserverpb::TxnRequest& request) const {
  // Not worth more than the refusal that it will get.
  if (!kvstore::CheckTxn(request, max_txn_ops_).ok()) return w_.map.ids();
  Partitions owners = TxnPlan(w_.map, request).partitions();
  if (!kvstore::IsReadOnlyTxn(request)) {
    return NeededToWrite(std::move(owners), kvstore::QuotaCostBytes(request));
  }
  if (owners.size() > 1) owners.push_back(kSystemPartition);
  return owners;
}

void GatedRouter::Range(CallContext context, etcdserverpb::RangeRequest request,
                        ReplyCallback<kvstore::RangeResult> done) {
  PassOne(&Router::Range, std::move(context), std::move(request), std::move(done),
          [this](const etcdserverpb::RangeRequest& r) { return NeededToRead(r); });
}

void GatedRouter::RangePage(CallContext context, etcdserverpb::RangeRequest request,
                            ReplyCallback<kvstore::RangeResult> done) {
  PassOne(&Router::RangePage, std::move(context), std::move(request), std::move(done),
          [this](const etcdserverpb::RangeRequest& r) { return NeededToRead(r); });
}

void GatedRouter::Put(CallContext context, etcdserverpb::PutRequest request,
                      ReplyCallback<kvstore::PutResult> done) {
  PassOne(&Router::Put, std::move(context), std::move(request), std::move(done),
          [this](const etcdserverpb::PutRequest& r) {
            return NeededToWrite({w_.map.Owner(r.key())}, kvstore::QuotaCostBytes(r));
          });
}

void GatedRouter::DeleteRange(CallContext context, etcdserverpb::DeleteRangeRequest request,
                              ReplyCallback<kvstore::DeleteResult> done) {
  PassOne(&Router::DeleteRange, std::move(context), std::move(request), std::move(done),
          [this](const etcdserverpb::DeleteRangeRequest& r) {
            return NeededToWrite(w_.map.Owners(mvcc::FromEtcd(r.key(), r.range_end())),
                                 /*cost_bytes=*/0);
          });
}

void GatedRouter::Txn(CallContext context, etcdserverpb::TxnRequest request,
                      ReplyCallback<kvstore::TxnResult> done) {
  PassOne(&Router::Txn, std::move(context), std::move(request), std::move(done),
          [this](const etcdserverpb::TxnRequest& r) { return NeededBy(r); });
}

void GatedRouter::Compact(CallContext context, etcdserverpb::CompactionRequest request,
                          ReplyCallback<Nothing> done) {
  PassAll<Nothing>(context, std::move(done), [this, context, request](auto d) {
    w_.inner.Compact(context, request, std::move(d));
  });
}

void GatedRouter::LeaseGrant(int64_t id, int64_t ttl_seconds, ReplyCallback<LeaseGranted> done) {
  PassAll<LeaseGranted>({}, std::move(done), [this, id, ttl_seconds](auto d) {
    w_.inner.LeaseGrant(id, ttl_seconds, std::move(d));
  });
}

void GatedRouter::LeaseRevoke(LeaseId id, ReplyCallback<Nothing> done) {
  PassAll<Nothing>({}, std::move(done),
                   [this, id](auto d) { w_.inner.LeaseRevoke(id, std::move(d)); });
}

void GatedRouter::LeaseKeepAlive(LeaseId id, ReplyCallback<LeaseRemaining> done) {
  PassAll<LeaseRemaining>({}, std::move(done),
                          [this, id](auto d) { w_.inner.LeaseKeepAlive(id, std::move(d)); });
}

void GatedRouter::LeaseTimeToLive(LeaseId id, bool with_keys, ReplyCallback<LeaseLife> done) {
  PassAll<LeaseLife>({}, std::move(done), [this, id, with_keys](auto d) {
    w_.inner.LeaseTimeToLive(id, with_keys, std::move(d));
  });
}

void GatedRouter::LeaseLeases(ReplyCallback<std::vector<LeaseId>> done) {
  PassAll<std::vector<LeaseId>>({}, std::move(done),
                                [this](auto d) { w_.inner.LeaseLeases(std::move(d)); });
}

void GatedRouter::Alarm(etcdserverpb::AlarmRequest request,
                        ReplyCallback<std::vector<AlarmEntry>> done) {
  PassAll<std::vector<AlarmEntry>>(
      {}, std::move(done), [this, request](auto d) { w_.inner.Alarm(request, std::move(d)); });
}

void GatedRouter::HashKv(Revision revision, ReplyCallback<HashKvResult> done) {
  PassAll<HashKvResult>({}, std::move(done),
                        [this, revision](auto d) { w_.inner.HashKv(revision, std::move(d)); });
}

void GatedRouter::Defragment(ReplyCallback<Nothing> done) {
  PassAll<Nothing>({}, std::move(done), [this](auto d) { w_.inner.Defragment(std::move(d)); });
}

void GatedRouter::Barrier(ReplyCallback<Nothing> done) {
  PassAll<Nothing>({}, std::move(done), [this](auto d) { w_.inner.Barrier(std::move(d)); });
}

}  // namespace tidemark::partition
