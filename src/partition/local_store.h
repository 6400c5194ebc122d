// Everything between the services and the journal, for one process: the replicas of all
// partitions, their feeding from the journal, leases, compaction, alarms and the router over them.
//
// Hides the assembly: who needs whom, and what begins when the first partition is whole and when
// all are (StoreStarter brings them there).
// No threads of its own. Start and Stop may be called from any thread.
//
// REQUIRES that everything in LocalStoreDoors outlives it, and that executors and workers run no
// more of its tasks when it is destroyed.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "src/base/clock.h"
#include "src/base/executor.h"
#include "src/base/memory_budget.h"
#include "src/base/memory_mapper.h"
#include "src/base/parallel_runner.h"
#include "src/base/random.h"
#include "src/journal/history.h"
#include "src/journal/journal.h"
#include "src/kvstore/checkpoint/checkpoint_store.h"
#include "src/kvstore/replica.h"
#include "src/partition/auto_compactor.h"
#include "src/partition/checkpointer.h"
#include "src/partition/partition_map.h"
#include "src/partition/router.h"

namespace tidemark::partition {

struct LocalStoreOptions {
  PartitionMap map = PartitionMap::Default();
  uint64_t member_id = 1;
  int64_t quota_bytes = 0;  // etcd's flag: 0 is 2 GiB, negative is none
  size_t max_request_bytes = 1572864;
  size_t max_txn_ops = 128;
  size_t max_pending_writes = 5000;
  int64_t min_lease_ttl_seconds = 2;
  size_t watch_credit_bytes = 4 << 20;  // per stream
  size_t segment_size_bytes = 4 << 20;  // at most; smaller in little memory
  uint64_t identity = 0;                // of the journal: memory with another one is not used
  journal::History history;             // nor memory that is not of this one
  CheckpointPolicy checkpoints;
  AutoCompaction auto_compaction;
  absl::Duration slow_apply = absl::Milliseconds(100);
  // How long each compaction took, its memory freed. On a store sequence; may be empty.
  std::function<void(absl::Duration)> observe_compaction;
  absl::Duration progress_log_interval = absl::Seconds(1);
  // How long a request waits for partitions that are not whole yet, or for a lease's end: the
  // server's time limit.
  absl::Duration request_patience = absl::Seconds(7);
};

struct LocalStoreDoors {
  std::vector<Executor*> executors;  // at least one; the first serves the system partition
  Clock* clock = nullptr;
  Random* random = nullptr;
  journal::Journal* journal = nullptr;
  MemoryMapper* memory = nullptr;
  // Loads partitions at the start. Nothing: without threads, on the partitions' sequences.
  ParallelRunner* workers = nullptr;
  // nullptr: no limit. Outlives also what was answered.
  MemoryBudget* budget = nullptr;
  // Without them nothing is trimmed, and a start without memory replays the whole journal.
  kvstore::CheckpointStore* checkpoints = nullptr;
  BlockingRunner* checkpoint_disk = nullptr;
  std::function<uint64_t()> journal_bytes;  // that the journal holds; any thread
};

class LocalStore {
 public:
  static std::unique_ptr<LocalStore> Create(LocalStoreOptions options, LocalStoreDoors doors);
  virtual ~LocalStore() = default;

  // `done` runs on a store sequence once all requests are served; FailedPrecondition when the data
  // was written under another partition map. Each partition serves as soon as it is whole; what
  // needs others waits, for options.request_patience at most.
  virtual void Start(absl::AnyInvocable<void(absl::Status)> done) = 0;
  // Ends the subscriptions and timers; requests from now on get "etcdserver: server stopped".
  virtual void Stop() = 0;

  virtual Router& router() = 0;
  // Of the start. Any thread.
  virtual bool IsWhole(PartitionId partition) const = 0;
  virtual size_t whole_count() const = 0;
  virtual const PartitionMap& map() const = 0;
  virtual kvstore::Replica& replica(PartitionId partition) = 0;
  virtual const CheckpointStats& checkpoint_stats() const = 0;
  virtual const mvcc::SegmentRoom& segment_room() const = 0;

  // Once everything is answered: nothing held, nothing pending. Call with the executors idle.
  virtual void CheckIdle() const = 0;
};

}  // namespace tidemark::partition
