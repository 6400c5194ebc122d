// What all services share: the router, the node's identity, limits, and the counting of clients.
//
// Hides how a header is made and how requests are admitted (hasleader, client-api-version).
// Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "src/base/clock.h"
#include "src/base/memory_budget.h"
#include "src/base/mutex.h"
#include "src/base/random.h"
#include "src/partition/router.h"
#include "src/server/rpc.h"
#include "src/server/services/reply_encoder.h"

namespace tidemark::server {

struct ServiceOptions {
  uint64_t cluster_id = 0;
  uint64_t member_id = 0;
  std::string name;
  std::vector<std::string> peer_urls;
  std::vector<std::string> client_urls;
  std::string version;
  std::string storage_version;
  absl::Duration request_timeout = absl::Seconds(7);
  absl::Duration warning_unary_request_duration = absl::Milliseconds(300);
  absl::Duration watch_progress_notify_interval = absl::Minutes(10);
  size_t max_request_bytes = 1572864;
  MemoryBudget* budget = &MemoryBudget::Unlimited();           // outlives every call
  std::function<void(int64_t ttl_seconds)> observe_lease_ttl;  // of each grant; may be empty
};

// How many streams and lease operations there were; read by the metrics.
struct ServiceCounters {
  std::atomic<int64_t> watch_streams{0};
  std::atomic<uint64_t> leases_granted{0};
  std::atomic<uint64_t> leases_revoked{0};
  std::atomic<uint64_t> leases_renewed{0};
  std::atomic<uint64_t> slow_requests{0};
};

class ServiceContext {
 public:
  // Gives what counts a request in etcd_server_client_requests_total; asked once for each of a
  // bounded set of versions.
  using CountClient = std::function<std::function<void()>(bool stream, const std::string& version)>;

  ServiceContext(ServiceOptions options, partition::Router& router, Clock& clock, Random& random,
                 CountClient count_client);

  const ServiceOptions& options() const { return options_; }
  partition::Router& router() { return router_; }
  Clock& clock() { return clock_; }
  Random& random() { return random_; }
  ServiceCounters& counters() { return counters_; }

  Header MakeHeader(Revision revision) const {
    return {options_.cluster_id, options_.member_id, revision,
            term_.load(std::memory_order_relaxed)};
  }
  // Takes the leader's term from the router. Called now and then; the term never goes back.
  void RefreshTerm();
  bool HasLeader() const { return term_.load(std::memory_order_relaxed) > 0; }

  // The interceptor's part of a call (contract 1.1, metadata). Counts the client.
  absl::Status Admit(const ServerCall& call, bool stream);

 private:
  struct Client {
    std::string version;
    std::function<void()> count_unary;
    std::function<void()> count_stream;
  };
  // Beyond so many distinct versions clients are counted as "other".
  static constexpr size_t kMaxClientVersions = 64;
  const Client& ClientOf(absl::string_view version) ABSL_LOCKS_EXCLUDED(mutex_);

  const ServiceOptions options_;
  partition::Router& router_;
  Clock& clock_;
  Random& random_;
  const CountClient count_client_;
  ServiceCounters counters_;
  std::atomic<uint64_t> term_{0};

  Mutex mutex_;
  std::atomic<const Client*> newest_client_{nullptr};
  absl::flat_hash_map<std::string, std::unique_ptr<const Client>> clients_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tidemark::server
