// The node's Prometheus metrics, under etcd's names where a meaning matches (contract 11).
//
// Hides the registry and the text format. Series that calls touch are resolved once, so that
// counting a call costs a few atomic additions; figures of the store, the process and the journal
// are read when somebody scrapes.
// Thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "src/base/mutex.h"
#include "src/server/rpc.h"

namespace prometheus {
class Counter;
class Gauge;
class Histogram;
class Registry;
template <typename T>
class Family;
}  // namespace prometheus

namespace tidemark::server {

class Metrics {
 public:
  Metrics();
  ~Metrics();
  Metrics(const Metrics&) = delete;

  using Labels = std::vector<std::pair<std::string, std::string>>;
  // The returned series live as long as this object; the same name and labels give the same one.
  prometheus::Counter& Counter(const std::string& name, const std::string& help,
                               const Labels& labels = {});
  prometheus::Gauge& Gauge(const std::string& name, const std::string& help,
                           const Labels& labels = {});
  // Buckets start * factor^i, i in [0, count).
  prometheus::Histogram& Histogram(const std::string& name, const std::string& help,
                                   const Labels& labels, double start, double factor, int count);

  // Called before each scrape, to set gauges. Register before the first scrape.
  void OnScrape(std::function<void()> refresh);

  std::string Text();

 private:
  std::unique_ptr<prometheus::Registry> registry_;
  Mutex mutex_;
  std::vector<std::function<void()>> refreshers_ ABSL_GUARDED_BY(mutex_);
};

// grpc_server_*, etcd_network_client_grpc_* and the durations of requests that etcd names by what
// they do: all method and code series exist from the start.
class CallMetrics : public CallObserver {
 public:
  // `extensive` adds grpc_server_handling_seconds.
  CallMetrics(Metrics& metrics, const std::vector<Method>& methods, bool extensive);

  void OnStarted(const Method& method) override;
  void OnMessageReceived(const Method& method) override;
  void OnMessageSent(const Method& method) override;
  void OnHandled(const Method& method, absl::StatusCode code, absl::Duration took) override;
  void OnBytes(uint64_t received, uint64_t sent) override;

 private:
  struct Series {
    prometheus::Counter* started = nullptr;
    prometheus::Counter* received = nullptr;
    prometheus::Counter* sent = nullptr;
    std::array<prometheus::Counter*, 17> handled{};
    prometheus::Histogram* seconds = nullptr;
    prometheus::Gauge* in_progress = nullptr;
    // By what the method does; [1] for those that succeeded.
    std::array<std::vector<prometheus::Histogram*>, 2> durations;
  };
  static void AddDurations(Metrics& metrics, const Method& method, Series& series);
  Series* Find(const Method& method);

  absl::flat_hash_map<std::string, Series> series_;  // by path; fixed after construction
  prometheus::Counter* received_bytes_;
  prometheus::Counter* sent_bytes_;
};

// process_* and os_fd_*, from /proc.
void AddProcessMetrics(Metrics& metrics, absl::Time process_start);

}  // namespace tidemark::server
