#include "src/server/observability/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <array>
#include <cmath>
#include <iterator>

#include "absl/strings/string_view.h"
#include "src/base/check.h"
#include "src/server/observability/told_series.h"

namespace tidemark::server {
namespace {

std::map<std::string, std::string> ToMap(const Metrics::Labels& labels) {
  return {labels.begin(), labels.end()};
}

// Go's names, by code.
constexpr const char* kCodeNames[] = {
    "OK",       "Canceled",       "Unknown",          "InvalidArgument",   "DeadlineExceeded",
    "NotFound", "AlreadyExists",  "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
    "Aborted",  "OutOfRange",     "Unimplemented",    "Internal",          "Unavailable",
    "DataLoss", "Unauthenticated"};

const char* TypeName(CallKind kind) {
  switch (kind) {
    case CallKind::kUnary:
      return "unary";
    case CallKind::kServerStream:
      return "server_stream";
    case CallKind::kBidiStream:
      return "bidi_stream";
  }
  return "unary";
}

// What etcd calls the requests in etcd_server_request_duration_seconds.
struct RequestType {
  absl::string_view path;
  const char* type;
};
constexpr RequestType kRequestTypes[] = {
    {"/etcdserverpb.KV/Range", "Range"},
    {"/etcdserverpb.KV/Put", "Put"},
    {"/etcdserverpb.KV/DeleteRange", "DeleteRange"},
    {"/etcdserverpb.KV/Txn", "Txn"},
    {"/etcdserverpb.KV/Compact", "Compaction"},
    {"/etcdserverpb.Lease/LeaseGrant", "LeaseGrant"},
    {"/etcdserverpb.Lease/LeaseRevoke", "LeaseRevoke"},
    {"/etcdserverpb.Maintenance/Alarm", "Alarm"},
};

// Methods that are one operation of the store with a histogram of its own.
struct OperationHistogram {
  absl::string_view path;
  const char* name;
  const char* help;
  double start_seconds;
  int count;
};
constexpr OperationHistogram kOperationHistograms[] = {
    {"/etcdserverpb.Maintenance/Defragment", "etcd_disk_backend_defrag_duration_seconds",
     "The latency distribution of backend defragmentation.", 0.1, 13},
    {"/etcdserverpb.Maintenance/Hash", "etcd_mvcc_hash_duration_seconds",
     "The latency distribution of storage hash operation.", 0.01, 15},
    {"/etcdserverpb.Maintenance/HashKV", "etcd_mvcc_hash_rev_duration_seconds",
     "The latency distribution of storage hash by revision operation.", 0.01, 15},
};

}  // namespace

Metrics::Metrics()
    : registry_(
          std::make_unique<prometheus::Registry>(prometheus::Registry::InsertBehavior::Merge)) {}
Metrics::~Metrics() = default;

prometheus::Counter& Metrics::Counter(const std::string& name, const std::string& help,
                                      const Labels& labels) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(*registry_).Add(ToMap(labels));
}

prometheus::Gauge& Metrics::Gauge(const std::string& name, const std::string& help,
                                  const Labels& labels) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(*registry_).Add(ToMap(labels));
}

prometheus::Histogram& Metrics::Histogram(const std::string& name, const std::string& help,
                                          const Labels& labels, double start, double factor,
                                          int count) {
  return prometheus::BuildHistogram()
      .Name(name)
      .Help(help)
      .Register(*registry_)
      .Add(ToMap(labels), Bounds(start, factor, count));
}

std::vector<double> Metrics::Bounds(double start, double factor, int count) {
  std::vector<double> bounds;
  bounds.reserve(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) bounds.push_back(start * std::pow(factor, i));
  return bounds;
}

void Metrics::OnScrape(std::function<void()> refresh) {
  MutexLock lock(&mutex_);
  refreshers_.push_back(std::move(refresh));
}

std::string Metrics::Text() {
  MutexLock lock(&mutex_);
  for (const auto& refresh : refreshers_) refresh();
  return prometheus::TextSerializer().Serialize(registry_->Collect());
}

class CallMetrics::Series : public CallObserver {
 public:
  Series(Metrics& metrics, const Method& method, bool extensive);

  void OnStarted() override;
  void OnMessageReceived() override { received_->Add(); }
  void OnMessageSent() override { sent_->Add(); }
  void OnHandled(absl::StatusCode code, absl::Duration took) override;
  void Tell();

 private:
  using Histograms = std::vector<std::unique_ptr<ToldHistogram>>;

  void AddCounts(Metrics& metrics, const Metrics::Labels& labels);
  void AddDurations(Metrics& metrics, const Method& method);
  static void AddHistogram(Histograms& to, Metrics& metrics, const std::string& name,
                           const std::string& help, const Metrics::Labels& labels,
                           double start_seconds, int count);

  std::unique_ptr<ToldCounter> started_;
  std::unique_ptr<ToldCounter> received_;
  std::unique_ptr<ToldCounter> sent_;
  std::array<std::unique_ptr<ToldCounter>, std::size(kCodeNames)> handled_;
  Histograms seconds_;  // of all calls
  // By what the method does; [1] for those that succeeded.
  std::array<Histograms, 2> durations_;
  prometheus::Gauge* in_progress_ = nullptr;
};

CallMetrics::CallMetrics(Metrics& metrics, std::vector<Method>& methods, bool extensive) {
  for (Method& method : methods) {
    series_.push_back(std::make_unique<Series>(metrics, method, extensive));
    method.observer = series_.back().get();
  }
  metrics.OnScrape([this] {
    for (const auto& series : series_) series->Tell();
  });
}

CallMetrics::~CallMetrics() = default;

CallMetrics::Series::Series(Metrics& metrics, const Method& method, bool extensive) {
  absl::string_view path = method.path;
  size_t slash = path.rfind('/');
  CHECK_MSG(slash != absl::string_view::npos && slash > 0, path);
  const Metrics::Labels labels = {{"grpc_type", TypeName(method.kind)},
                                  {"grpc_service", std::string(path.substr(1, slash - 1))},
                                  {"grpc_method", std::string(path.substr(slash + 1))}};
  AddCounts(metrics, labels);
  if (extensive) {
    AddHistogram(seconds_, metrics, "grpc_server_handling_seconds",
                 "Histogram of response latency (seconds) of gRPC that had been application-level "
                 "handled by the server.",
                 labels, 0.001, 14);
  }
  AddDurations(metrics, method);
}

void CallMetrics::Series::AddHistogram(Histograms& to, Metrics& metrics, const std::string& name,
                                       const std::string& help, const Metrics::Labels& labels,
                                       double start_seconds, int count) {
  constexpr double kFactor = 2;
  to.push_back(std::make_unique<ToldHistogram>(
      metrics.Histogram(name, help, labels, start_seconds, kFactor, count),
      Metrics::Bounds(start_seconds, kFactor, count)));
}

void CallMetrics::Series::AddCounts(Metrics& metrics, const Metrics::Labels& labels) {
  const auto counter = [&metrics](const std::string& name, const std::string& help,
                                  const Metrics::Labels& its) {
    return std::make_unique<ToldCounter>(metrics.Counter(name, help, its));
  };
  started_ =
      counter("grpc_server_started_total", "Total number of RPCs started on the server.", labels);
  received_ = counter("grpc_server_msg_received_total",
                      "Total number of RPC stream messages received on the server.", labels);
  sent_ = counter("grpc_server_msg_sent_total",
                  "Total number of gRPC stream messages sent by the server.", labels);
  for (size_t code = 0; code < handled_.size(); ++code) {
    Metrics::Labels with_code = labels;
    with_code.emplace_back("grpc_code", kCodeNames[code]);
    handled_[code] =
        counter("grpc_server_handled_total",
                "Total number of RPCs completed on the server, regardless of success or failure.",
                with_code);
  }
}

void CallMetrics::Series::AddDurations(Metrics& metrics, const Method& method) {
  for (bool success : {false, true}) {
    Metrics::Labels outcome = {{"success", success ? "true" : "false"}};
    auto& durations = durations_[success];
    for (const RequestType& request : kRequestTypes) {
      if (method.path != request.path) continue;
      Metrics::Labels labels = outcome;
      labels.emplace_back("type", request.type);
      AddHistogram(durations, metrics, "etcd_server_request_duration_seconds",
                   "Response latency (seconds) of each request type.", labels, 0.001, 14);
      if (request.type != absl::string_view("Range")) continue;
      AddHistogram(durations, metrics, "etcd_server_range_duration_seconds",
                   "The latency distributions of txn.Range.", outcome, 0.0001, 20);
    }
    for (const OperationHistogram& operation : kOperationHistograms) {
      if (method.path != operation.path) continue;
      AddHistogram(durations, metrics, operation.name, operation.help, {}, operation.start_seconds,
                   operation.count);
    }
  }
  if (method.path == "/etcdserverpb.Maintenance/Defragment") {
    in_progress_ = &metrics.Gauge(
        "etcd_disk_defrag_inflight",
        "Whether or not defrag is active on the member. 1 means active, 0 means not.");
  }
}

void CallMetrics::Series::OnStarted() {
  started_->Add();
  if (in_progress_ != nullptr) in_progress_->Increment();
}

void CallMetrics::Series::OnHandled(absl::StatusCode code, absl::Duration took) {
  size_t index = static_cast<size_t>(code);
  if (index >= handled_.size()) index = static_cast<size_t>(absl::StatusCode::kUnknown);
  handled_[index]->Add();
  for (const auto& histogram : seconds_) histogram->Observe(took);
  for (const auto& histogram : durations_[code == absl::StatusCode::kOk]) histogram->Observe(took);
  if (in_progress_ != nullptr) in_progress_->Decrement();
}

void CallMetrics::Series::Tell() {
  for (ToldCounter* counter : {started_.get(), received_.get(), sent_.get()}) counter->Tell();
  for (const auto& counter : handled_) counter->Tell();
  for (const Histograms* histograms : {&seconds_, &durations_[0], &durations_[1]}) {
    for (const auto& histogram : *histograms) histogram->Tell();
  }
}

TrafficMetrics::TrafficMetrics(Metrics& metrics)
    : received_bytes_(metrics.Counter("etcd_network_client_grpc_received_bytes_total",
                                      "The total number of bytes received from grpc clients.")),
      sent_bytes_(metrics.Counter("etcd_network_client_grpc_sent_bytes_total",
                                  "The total number of bytes sent to grpc clients.")) {}

void TrafficMetrics::OnBytes(uint64_t received, uint64_t sent) {
  if (received > 0) received_bytes_.Increment(static_cast<double>(received));
  if (sent > 0) sent_bytes_.Increment(static_cast<double>(sent));
}

}  // namespace tidemark::server
