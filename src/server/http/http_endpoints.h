// The plain HTTP paths of etcd: /health, /livez, /readyz, /version, /metrics, /debug/vars, and the
// JSON gateway's place (contract 9).
//
// Hides paths, methods, health checks and their texts, CORS and the host white list.
// Thread-safe; handlers run on event loops and answer from wherever the store answers.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "src/base/clock.h"
#include "src/base/executor.h"
#include "src/partition/router.h"
#include "src/server/rpc.h"

namespace tidemark::server {

struct HttpOptions {
  std::string version;
  std::string cluster_version;
  std::string storage_version;
  std::vector<std::string> cors;            // "*" or origins
  std::vector<std::string> host_whitelist;  // "*" or host names; plain text only
  bool enable_grpc_gateway = true;
  std::function<std::string()> metrics_text;
  // Where it is made: for several milliseconds no event loop should stand still. Not owned; must
  // have ended what it was given before the transport goes.
  BlockingRunner* scrapes = nullptr;
  const Clock* clock = nullptr;                     // not owned
  absl::Duration probe_timeout = absl::Seconds(7);  // of a health check's read
  // Outcome of a health check; name is "health" for /health.
  std::function<void(const std::string& type, const std::string& name, bool ok)> count_check;
};

class HttpEndpoints {
 public:
  // Health questions before SetRouter answer that there is no leader.
  explicit HttpEndpoints(HttpOptions options);

  // Once requests are served. Not owned; must outlive the transport, as must the executor on which
  // reads that take too long are given up.
  void SetRouter(partition::Router* router, Executor* timers) {
    timers_.store(timers);
    router_.store(router);
  }

  HttpHandler ClientHandler();   // everything
  HttpHandler MetricsHandler();  // only /metrics, /health, /livez, /readyz

 private:
  using Respond = std::function<void(HttpResponse)>;
  struct Query;
  struct CheckRun;
  struct Probe;

  void Serve(HttpRequest request, Respond respond, bool metrics_only);
  bool ServeCommon(const HttpRequest& request, const Respond& respond);
  void ServeMetrics(const Respond& respond);
  void ServeHealth(const HttpRequest& request, Respond respond);
  void ServeChecks(const HttpRequest& request, Respond respond, const std::string& root);
  void RunChecks(std::shared_ptr<CheckRun> run);
  // `done` gets "" or the reason of failure.
  void RunCheck(const std::string& name, absl::AnyInvocable<void(std::string)> done);
  void ProbeRead(bool serializable, absl::AnyInvocable<void(absl::Status)> done);
  void AddCors(absl::string_view origin, HttpResponse& response) const;

  const HttpOptions options_;
  std::atomic<Executor*> timers_{nullptr};
  std::atomic<partition::Router*> router_{nullptr};
  std::atomic<int> scrapes_waiting_{0};
};

}  // namespace tidemark::server
