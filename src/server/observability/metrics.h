// The node's Prometheus metrics, under etcd's names where a meaning matches (contract 11).
//
// Hides the registry and the text format. Series that calls touch are resolved once, so that
// counting a call costs a few atomic additions; figures of the store, the process and the journal
// are read when somebody scrapes.
// Thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

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
  static std::vector<double> Bounds(double start, double factor, int count);

  // Called before each scrape, to set gauges. Register before the first scrape.
  void OnScrape(std::function<void()> refresh);

  std::string Text();

 private:
  std::unique_ptr<prometheus::Registry> registry_;
  Mutex mutex_;
  std::vector<std::function<void()>> refreshers_ ABSL_GUARDED_BY(mutex_);
};

// grpc_server_* and the durations of requests that etcd names by what they do: all method and code
// series exist from the start.
class CallMetrics {
 public:
  // Sets itself as the observer of each method. `extensive` adds grpc_server_handling_seconds.
  // Outlives the last scrape.
  CallMetrics(Metrics& metrics, std::vector<Method>& methods, bool extensive);
  ~CallMetrics();

 private:
  class Series;
  std::vector<std::unique_ptr<Series>> series_;  // one for each method
};

// etcd_network_client_grpc_*.
class TrafficMetrics : public TrafficObserver {
 public:
  explicit TrafficMetrics(Metrics& metrics);
  void OnBytes(uint64_t received, uint64_t sent) override;

 private:
  prometheus::Counter& received_bytes_;
  prometheus::Counter& sent_bytes_;
};

// process_* and os_fd_*, from /proc.
void AddProcessMetrics(Metrics& metrics, absl::Time process_start);

}  // namespace tidemark::server
