// One running server: everything from the data directory to the listeners, wired together.
//
// Hides the order of starting and stopping. Used by the main thread.
//
// Start: lock the data directory; map memory; bind listeners (clients may connect and wait); open
// the journal; start the store; accept clients when the first partition is whole; be healthy and
// serve everything when all are. Stop is the other way round: no new calls, calls
// in progress end, then store, journal, memory.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "src/base/inline_blocking_runner.h"
#include "src/base/mutex.h"
#include "src/base/posix_clock.h"
#include "src/base/posix_file_system.h"
#include "src/base/posix_random.h"
#include "src/base/thread_blocking_runner.h"
#include "src/base/thread_executor.h"
#include "src/base/thread_pool.h"
#include "src/journal/embedded_journal.h"
#include "src/kvstore/checkpoint/checkpoint_store.h"
#include "src/partition/local_store.h"
#include "src/server/app/identity.h"
#include "src/server/app/listeners.h"
#include "src/server/http/http_endpoints.h"
#include "src/server/observability/metrics.h"
#include "src/server/options/options.h"
#include "src/server/services/service_context.h"
#include "src/server/transport/transport.h"

namespace tidemark::server {

class Node {
 public:
  explicit Node(Options options);
  ~Node();

  // Ends once serving begins in the background; Progress tells how that goes.
  absl::Status Start();

  enum class State { kStarting, kServing, kFailed };
  State Poll();  // call now and then: starts serving once there is something to serve
  absl::Status failure() const;

  void Stop();

 private:
  struct Bound {
    Transport* transport;
    Transport::ListenerId id;
    PlannedListener plan;
  };

  absl::Status OpenMemory();
  void SetBudget();
  absl::Status KeepFreshIdentity();
  std::string JournalDirectory() const;
  absl::Status OpenJournal();
  absl::Status OpenCheckpoints();
  void CreateStore(partition::PartitionMap map);
  std::vector<Executor*> StoreExecutors(size_t partitions);
  absl::Status Bind();
  void CreateServices();
  void CreateHttp();
  void Accept();
  void Serve();

  const Options options_;
  PosixClock clock_;
  PosixRandom random_;
  PosixFileSystem files_;
  Metrics metrics_;
  std::unique_ptr<MemoryBudget> budget_;  // outlives whatever is counted in it

  // Destroyed from the bottom up: calls that the store still holds must not outlive the transport.
  std::unique_ptr<HttpEndpoints> http_;
  std::unique_ptr<CallMetrics> call_metrics_;
  std::unique_ptr<TrafficMetrics> traffic_metrics_;
  std::unique_ptr<Transport> metrics_transport_;
  std::unique_ptr<Transport> transport_;
  std::vector<Bound> bound_;
  std::unique_ptr<ThreadBlockingRunner> scrapes_;

  OpenedDataDir data_dir_;
  std::unique_ptr<MemoryMapper> memory_;
  // Inline: while the journal's thread waits for a sync, what arrives becomes the next block, and
  // nobody has to be woken twice for it.
  InlineBlockingRunner disk_;
  std::unique_ptr<ThreadExecutor> journal_executor_;
  std::unique_ptr<ThreadBlockingRunner> journal_side_;
  std::vector<std::unique_ptr<ThreadExecutor>> store_executors_;
  std::unique_ptr<journal::EmbeddedJournal> journal_;
  std::unique_ptr<kvstore::CheckpointStore> checkpoints_;
  std::unique_ptr<ThreadBlockingRunner> checkpoint_disk_;
  std::unique_ptr<partition::LocalStore> store_;
  std::unique_ptr<ThreadPool> workers_;  // ends what it does for the store before that ends
  std::unique_ptr<ServiceContext> services_;

  bool accepting_ = false;
  bool serving_ = false;
  bool stopped_ = false;
  mutable Mutex mutex_;
  bool store_started_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status store_status_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tidemark::server
