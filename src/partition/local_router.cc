#include "src/partition/local_router.h"

#include <algorithm>

#include "src/kvstore/etcd_errors.h"
#include "src/kvstore/request_checks.h"
#include "src/partition/multi_read.h"
#include "src/partition/multi_txn.h"
#include "src/partition/txn_plan.h"
#include "src/partition/watch_stream_impl.h"

namespace tidemark::partition {

using kvstore::Freshness;
using kvstore::Replica;
using kvstore::Reply;

namespace {

// What etcd adds to a request before it measures it (contract 2.9).
constexpr size_t kRequestOverheadBytes = 20;

Freshness FreshnessOf(bool serializable) {
  return Freshness{serializable ? Freshness::Kind::kSerializable : Freshness::Kind::kLinearizable,
                   {}};
}

bool IsGone(const CallContext& context) { return context.cancelled && *context.cancelled; }

absl::Status GoneStatus() { return absl::CancelledError("context canceled"); }

}  // namespace

absl::Status LocalRouter::Available() const {
  if (stopped_) return kvstore::ErrStopped();
  return absl::OkStatus();
}

absl::Status LocalRouter::CheckWrite(const CallContext& context, bool adds_data) const {
  if (context.request_size_bytes + kRequestOverheadBytes > limits_.max_request_bytes) {
    return kvstore::ErrRequestTooLarge();
  }
  return w_.guard.CheckAlarms(adds_data);
}

template <typename Result>
void LocalRouter::RefuseForQuota(ReplyCallback<Result> done) {
  w_.guard.RaiseNoSpace([done = std::move(done)]() mutable { done(kvstore::ErrNoSpace()); });
}

template <typename Result, typename Operation>
void LocalRouter::Operate(ReplyCallback<Result> done, Operation operation) {
  auto shared = std::make_shared<ReplyCallback<Result>>(std::move(done));
  absl::Status entered = w_.coordinator.Enter(
      [shared, operation = std::move(operation)]() mutable { operation(std::move(*shared)); });
  if (!entered.ok()) Refuse(std::move(entered), std::move(*shared));
}

template <typename Result, typename Run>
void LocalRouter::OnPartition(PartitionId id, CallContext&& context, ReplyCallback<Result>&& done,
                              Run&& run) {
  Replica& replica = w_.parts.replica(id);
  replica.executor().Post([&replica, context = std::move(context), done = std::move(done),
                           run = std::forward<Run>(run)]() mutable {
    if (IsGone(context)) return done(GoneStatus());
    run(replica, std::move(done));
  });
}

void LocalRouter::ReadRange(CallContext&& context, etcdserverpb::RangeRequest&& request,
                            kvstore::RangeCount count, ReplyCallback<kvstore::RangeResult>&& done) {
  if (absl::Status status = Available(); !status.ok()) return Refuse(status, std::move(done));
  if (absl::Status status = kvstore::CheckRange(request); !status.ok()) {
    return Refuse(status, std::move(done));
  }
  if (kvstore::ReadsMany(request)) {
    return ReadMany(std::move(context), std::move(request), count, std::move(done));
  }
  ReadNow(std::move(context), std::move(request), count, std::move(done));
}

void LocalRouter::ReadMany(CallContext&& context, etcdserverpb::RangeRequest&& request,
                           kvstore::RangeCount count, ReplyCallback<kvstore::RangeResult>&& done) {
  auto cancelled = context.cancelled;
  w_.reads.Run<kvstore::RangeResult>(
      std::move(cancelled), std::move(done),
      [this, context = std::move(context), request = std::move(request),
       count](ReplyCallback<kvstore::RangeResult> d) {
        ReadNow(CallContext(context), etcdserverpb::RangeRequest(request), count, std::move(d));
      });
}

void LocalRouter::ReadNow(CallContext&& context, etcdserverpb::RangeRequest&& request,
                          kvstore::RangeCount count, ReplyCallback<kvstore::RangeResult>&& done) {
  const auto owners = w_.parts.map().Owners(mvcc::FromEtcd(request.key(), request.range_end()));
  if (owners.size() > 1) {
    return Operate<kvstore::RangeResult>(
        std::move(done),
        [this, request = std::move(request), count](ReplyCallback<kvstore::RangeResult> d) mutable {
          RunMultiRange(w_.coordinator, std::move(request), count, std::move(d));
        });
  }
  OnPartition<kvstore::RangeResult>(
      owners.front(), std::move(context), std::move(done),
      [request = std::move(request), count](Replica& replica,
                                            ReplyCallback<kvstore::RangeResult> d) mutable {
        const Freshness freshness = FreshnessOf(request.serializable());
        if (count == kvstore::RangeCount::kNone) {
          replica.RangePage(std::move(request), freshness, std::move(d));
        } else {
          replica.Range(std::move(request), freshness, std::move(d));
        }
      });
}

void LocalRouter::Put(CallContext context, etcdserverpb::PutRequest request,
                      ReplyCallback<kvstore::PutResult> done) {
  if (absl::Status status = Available(); !status.ok()) return Refuse(status, std::move(done));
  if (!w_.guard.HasSpaceFor(kvstore::QuotaCostBytes(request))) {
    return RefuseForQuota(std::move(done));
  }
  absl::Status status = kvstore::CheckPut(request);
  if (status.ok()) status = CheckWrite(context, /*adds_data=*/true);
  if (!status.ok()) return Refuse(std::move(status), std::move(done));
  const PartitionId owner = w_.parts.map().Owner(request.key());
  OnPartition<kvstore::PutResult>(
      owner, std::move(context), std::move(done),
      [request = std::move(request)](Replica& replica,
                                     ReplyCallback<kvstore::PutResult> d) mutable {
        replica.Put(std::move(request), std::move(d));
      });
}

void LocalRouter::DeleteRange(CallContext context, etcdserverpb::DeleteRangeRequest request,
                              ReplyCallback<kvstore::DeleteResult> done) {
  absl::Status status = Available();
  if (status.ok()) status = kvstore::CheckDeleteRange(request);
  if (status.ok()) status = CheckWrite(context, /*adds_data=*/false);
  if (!status.ok()) return Refuse(std::move(status), std::move(done));
  const auto owners = w_.parts.map().Owners(mvcc::FromEtcd(request.key(), request.range_end()));
  if (owners.size() == 1) {
    return OnPartition<kvstore::DeleteResult>(
        owners.front(), std::move(context), std::move(done),
        [request = std::move(request)](Replica& replica,
                                       ReplyCallback<kvstore::DeleteResult> d) mutable {
          replica.DeleteRange(std::move(request), std::move(d));
        });
  }
  // A transaction with this one operation.
  etcdserverpb::TxnRequest txn;
  *txn.add_success()->mutable_request_delete_range() = std::move(request);
  Operate<kvstore::DeleteResult>(
      std::move(done),
      [this, txn = std::move(txn)](ReplyCallback<kvstore::DeleteResult> d) mutable {
        MultiTxn::Run(w_.coordinator, std::move(txn),
                      [d = std::move(d)](absl::StatusOr<Reply<kvstore::TxnResult>> reply) mutable {
                        if (!reply.ok()) return d(reply.status());
                        d(Reply<kvstore::DeleteResult>{
                            reply->revision, std::get<kvstore::DeleteResult>(
                                                 std::move(reply->result.responses.at(0).result))});
                      });
      });
}

void LocalRouter::Txn(CallContext context, etcdserverpb::TxnRequest request,
                      ReplyCallback<kvstore::TxnResult> done) {
  if (absl::Status status = Available(); !status.ok()) return Refuse(status, std::move(done));
  const int64_t cost = kvstore::QuotaCostBytes(request);
  if (!w_.guard.HasSpaceFor(cost)) return RefuseForQuota(std::move(done));
  if (absl::Status status = kvstore::CheckTxn(request, limits_.max_txn_ops); !status.ok()) {
    return Refuse(std::move(status), std::move(done));
  }
  const bool read_only = kvstore::IsReadOnlyTxn(request);
  if (!read_only) {
    if (absl::Status status = CheckWrite(context, cost > 0); !status.ok()) {
      return Refuse(std::move(status), std::move(done));
    }
  }
  if (!kvstore::ReadsMany(request)) {
    return RunTxn(std::move(context), std::move(request), read_only, std::move(done));
  }
  if (!read_only) {
    // What it reads is read when it is applied, and then there is no refusing it any more.
    if (!w_.memory.HasRoomFor(MemoryAccount::kReads, 1)) {
      w_.memory.CountRefusal(MemoryAccount::kReads);
      return Refuse(kvstore::ErrTooManyRequests(), std::move(done));
    }
    return RunTxn(std::move(context), std::move(request), read_only, std::move(done));
  }
  auto cancelled = context.cancelled;
  w_.reads.Run<kvstore::TxnResult>(
      std::move(cancelled), std::move(done),
      [this, context = std::move(context),
       request = std::move(request)](ReplyCallback<kvstore::TxnResult> d) {
        RunTxn(CallContext(context), etcdserverpb::TxnRequest(request), /*read_only=*/true,
               std::move(d));
      });
}

void LocalRouter::RunTxn(CallContext&& context, etcdserverpb::TxnRequest&& request, bool read_only,
                         ReplyCallback<kvstore::TxnResult>&& done) {
  const bool serializable = read_only && kvstore::TxnIsSerializable(request);
  const std::vector<PartitionId> partitions = TxnPlan(w_.parts.map(), request).partitions();
  if (partitions.size() == 1) {
    return OnPartition<kvstore::TxnResult>(
        partitions.front(), std::move(context), std::move(done),
        [request = std::move(request), read_only, serializable](
            Replica& replica, ReplyCallback<kvstore::TxnResult> d) mutable {
          if (read_only) {
            replica.ReadTxn(std::move(request), FreshnessOf(serializable), std::move(d));
          } else {
            replica.Txn(std::move(request), std::move(d));
          }
        });
  }
  Operate<kvstore::TxnResult>(
      std::move(done), [this, request = std::move(request), read_only,
                        serializable](ReplyCallback<kvstore::TxnResult> d) mutable {
        if (read_only) {
          RunMultiReadTxn(w_.coordinator, std::move(request), serializable, std::move(d));
        } else {
          MultiTxn::Run(w_.coordinator, std::move(request), std::move(d));
        }
      });
}

void LocalRouter::Compact(CallContext context, etcdserverpb::CompactionRequest request,
                          ReplyCallback<Nothing> done) {
  absl::Status status = Available();
  if (status.ok()) status = CheckWrite(context, /*adds_data=*/false);
  if (!status.ok()) return Refuse(std::move(status), std::move(done));
  Operate<Nothing>(std::move(done), [this, request](ReplyCallback<Nothing> d) {
    w_.compactions.Compact(request, std::move(d));
  });
}

std::unique_ptr<WatchStream> LocalRouter::OpenWatch(Executor& executor, WatchOutput& output) {
  return std::make_unique<WatchStreamImpl>(
      WatchStreamImpl::Wiring{w_.parts, w_.journal, w_.clock, w_.memory},
      limits_.watch_credit_bytes, executor, output);
}

void LocalRouter::LeaseGrant(int64_t id, int64_t ttl_seconds, ReplyCallback<LeaseGranted> done) {
  if (absl::Status status = Available(); !status.ok()) return Refuse(status, std::move(done));
  if (!w_.guard.HasSpaceFor(kvstore::kLeaseGrantCostBytes)) {
    return RefuseForQuota(std::move(done));
  }
  if (absl::Status status = w_.guard.CheckAlarms(/*adds_data=*/true); !status.ok()) {
    return Refuse(std::move(status), std::move(done));
  }
  Operate<LeaseGranted>(std::move(done), [this, id, ttl_seconds](ReplyCallback<LeaseGranted> d) {
    w_.leases.Grant(id, ttl_seconds, std::move(d));
  });
}

void LocalRouter::LeaseRevoke(LeaseId id, ReplyCallback<Nothing> done) {
  absl::Status status = Available();
  if (status.ok()) status = w_.guard.CheckAlarms(/*adds_data=*/false);
  if (!status.ok()) return Refuse(std::move(status), std::move(done));
  Operate<Nothing>(std::move(done),
                   [this, id](ReplyCallback<Nothing> d) { w_.leases.Revoke(id, std::move(d)); });
}

void LocalRouter::LeaseKeepAlive(LeaseId id, ReplyCallback<LeaseRemaining> done) {
  if (absl::Status status = Available(); !status.ok()) return Refuse(status, std::move(done));
  Operate<LeaseRemaining>(std::move(done), [this, id](ReplyCallback<LeaseRemaining> d) {
    w_.leases.KeepAlive(id, std::move(d));
  });
}

void LocalRouter::LeaseTimeToLive(LeaseId id, bool with_keys, ReplyCallback<LeaseLife> done) {
  if (absl::Status status = Available(); !status.ok()) return Refuse(status, std::move(done));
  Operate<LeaseLife>(std::move(done), [this, id, with_keys](ReplyCallback<LeaseLife> d) {
    w_.leases.TimeToLive(id, with_keys, std::move(d));
  });
}

void LocalRouter::LeaseLeases(ReplyCallback<std::vector<LeaseId>> done) {
  if (absl::Status status = Available(); !status.ok()) return Refuse(status, std::move(done));
  Operate<std::vector<LeaseId>>(std::move(done), [this](ReplyCallback<std::vector<LeaseId>> d) {
    w_.leases.Leases(std::move(d));
  });
}

void LocalRouter::Alarm(etcdserverpb::AlarmRequest request,
                        ReplyCallback<std::vector<AlarmEntry>> done) {
  if (absl::Status status = Available(); !status.ok()) return Refuse(status, std::move(done));
  Operate<std::vector<AlarmEntry>>(std::move(done),
                                   [this, request](ReplyCallback<std::vector<AlarmEntry>> d) {
                                     w_.guard.Alarm(request, std::move(d));
                                   });
}

void LocalRouter::HashKv(Revision revision, ReplyCallback<HashKvResult> done) {
  if (absl::Status status = Available(); !status.ok()) return Refuse(status, std::move(done));
  Operate<HashKvResult>(std::move(done), [this, revision](ReplyCallback<HashKvResult> d) {
    w_.compactions.HashKv(revision, std::move(d));
  });
}

void LocalRouter::Defragment(ReplyCallback<Nothing> done) {
  if (absl::Status status = Available(); !status.ok()) return Refuse(status, std::move(done));
  Operate<Nothing>(std::move(done),
                   [this](ReplyCallback<Nothing> d) { w_.compactions.Defragment(std::move(d)); });
}

void LocalRouter::Barrier(ReplyCallback<Nothing> done) {
  if (absl::Status status = Available(); !status.ok()) return Refuse(status, std::move(done));
  Operate<Nothing>(std::move(done), [this](ReplyCallback<Nothing> d) {
    w_.coordinator.Barrier([this, d = std::move(d)](absl::StatusOr<journal::Tail> tail) mutable {
      if (!tail.ok()) {
        w_.coordinator.Leave();
        return d(kvstore::ErrTimeout());
      }
      WhenAllApplied(w_.parts, w_.parts.ids(), tail->position, w_.coordinator.home(),
                     [this, revision = tail->revision, d = std::move(d)]() mutable {
                       w_.coordinator.Leave();
                       d(Reply<Nothing>{revision, {}});
                     });
    });
  });
}

NodeStatus LocalRouter::Status() const {
  NodeStatus status;
  const journal::Tail tail = w_.journal.KnownTail();
  status.term = tail.term;
  status.committed = tail.position;
  for (PartitionId id : w_.parts.ids()) {
    const kvstore::PublishedStats& stats = w_.parts.replica(id).stats();
    status.revision = std::max(status.revision, Revision(stats.revision.load()));
    status.applied =
        std::max(status.applied, Position(static_cast<uint64_t>(stats.applied_position.load())));
    status.live_keys += stats.live_keys.load();
    status.versions += stats.versions.load();
    status.watchers += stats.watchers.load();
    status.watchers_behind += stats.watchers_behind.load();
  }
  status.applied = std::min(status.applied, status.committed);
  status.compact_revision = Revision(w_.parts.system().stats().compact_revision.load());
  const StoreSize size = w_.guard.Size();
  status.logical_bytes = size.logical_bytes;
  status.logical_live_bytes = size.logical_live_bytes;
  status.quota_bytes = w_.guard.quota_bytes();
  status.leases = w_.lease_count.load();
  status.leases_expired_total = w_.leases.expired_total();
  status.alarms = w_.guard.Alarms();
  return status;
}

}  // namespace tidemark::partition
