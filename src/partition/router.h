// One etcd over all partitions: what the services of the client port call.
//
// Hides which partition a key belongs to and how requests that span several are put together
// (one entry, one revision; docs/design-notes.md, "Holds" and "Reading over partitions").
// Thread-safe; callbacks run on some store sequence and must only hand over.
//
// Requests arrive as decoded; the router makes the checks of contract 2.3-2.7 in their order
// (quota, shape, size) and answers refusals with etcd's codes and texts (kvstore/etcd_errors.h).
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "proto/rpc.pb.h"
#include "src/base/executor.h"
#include "src/base/ids.h"
#include "src/kvstore/results.h"
#include "src/partition/watch_stream.h"

namespace tidemark::partition {

// What a call carries besides its request.
struct CallContext {
  // Bytes of the encoded request, for the size limit.
  size_t request_size_bytes = 0;
  // Set once the client is gone: work not yet ordered may be dropped.
  std::shared_ptr<const std::atomic<bool>> cancelled;
};

struct LeaseGranted {
  LeaseId id;
  int64_t ttl_seconds = 0;
};
struct LeaseRemaining {
  LeaseId id;
  int64_t ttl_seconds = 0;
};
struct LeaseLife {
  LeaseId id;
  int64_t remaining_seconds = -1;
  int64_t granted_seconds = 0;
  std::vector<std::string> keys;
};
struct HashKvResult {
  uint32_t hash = 0;
  Revision compact_revision;
  Revision hash_revision;
};
struct AlarmEntry {
  uint64_t member_id = 0;
  etcdserverpb::AlarmType type = etcdserverpb::NONE;
  friend auto operator<=>(const AlarmEntry&, const AlarmEntry&) = default;
};

// A look at the node from any thread, without asking the store.
struct NodeStatus {
  Revision revision;
  Revision compact_revision;
  Term term;
  Position committed;
  Position applied;
  int64_t logical_bytes = 0;       // etcd's dbSize
  int64_t logical_live_bytes = 0;  // etcd's dbSizeInUse
  int64_t quota_bytes = 0;
  int64_t live_keys = 0;
  int64_t versions = 0;
  int64_t watchers = 0;
  int64_t watchers_behind = 0;
  int64_t leases = 0;
  int64_t leases_expired_total = 0;
  std::vector<AlarmEntry> alarms;
};

template <typename Result>
using ReplyCallback = absl::AnyInvocable<void(absl::StatusOr<kvstore::Reply<Result>>)>;

struct Nothing {};

class Router {
 public:
  virtual ~Router() = default;

  // --- KV ---
  virtual void Range(CallContext context, etcdserverpb::RangeRequest request,
                     ReplyCallback<kvstore::RangeResult> done) = 0;
  // As Range, but the result's count is 0 and nothing is counted: for pages of a long range.
  // REQUIRES a limit and no count_only.
  virtual void RangePage(CallContext context, etcdserverpb::RangeRequest request,
                         ReplyCallback<kvstore::RangeResult> done) = 0;
  virtual void Put(CallContext context, etcdserverpb::PutRequest request,
                   ReplyCallback<kvstore::PutResult> done) = 0;
  virtual void DeleteRange(CallContext context, etcdserverpb::DeleteRangeRequest request,
                           ReplyCallback<kvstore::DeleteResult> done) = 0;
  virtual void Txn(CallContext context, etcdserverpb::TxnRequest request,
                   ReplyCallback<kvstore::TxnResult> done) = 0;
  virtual void Compact(CallContext context, etcdserverpb::CompactionRequest request,
                       ReplyCallback<Nothing> done) = 0;

  // --- Watch --- (thread-bound to `executor`, the stream's own sequence)
  virtual std::unique_ptr<WatchStream> OpenWatch(Executor& executor, WatchOutput& output) = 0;

  // --- Lease ---
  virtual void LeaseGrant(int64_t id, int64_t ttl_seconds, ReplyCallback<LeaseGranted> done) = 0;
  virtual void LeaseRevoke(LeaseId id, ReplyCallback<Nothing> done) = 0;
  virtual void LeaseKeepAlive(LeaseId id, ReplyCallback<LeaseRemaining> done) = 0;
  virtual void LeaseTimeToLive(LeaseId id, bool with_keys, ReplyCallback<LeaseLife> done) = 0;
  virtual void LeaseLeases(ReplyCallback<std::vector<LeaseId>> done) = 0;

  // --- Maintenance ---
  virtual void Alarm(etcdserverpb::AlarmRequest request,
                     ReplyCallback<std::vector<AlarmEntry>> done) = 0;
  // revision 0: current.
  virtual void HashKv(Revision revision, ReplyCallback<HashKvResult> done) = 0;
  // Frees everything a compaction released before it answers.
  virtual void Defragment(ReplyCallback<Nothing> done) = 0;
  // A confirmed tail that every partition has applied (MemberList, health, status).
  virtual void Barrier(ReplyCallback<Nothing> done) = 0;

  virtual NodeStatus Status() const = 0;
};

}  // namespace tidemark::partition
