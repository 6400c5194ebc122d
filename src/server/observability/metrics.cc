#include "src/server/observability/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <cmath>

#include "absl/strings/string_view.h"
#include "src/base/check.h"

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
  prometheus::Histogram::BucketBoundaries bounds;
  for (int i = 0; i < count; ++i) bounds.push_back(start * std::pow(factor, i));
  return prometheus::BuildHistogram()
      .Name(name)
      .Help(help)
      .Register(*registry_)
      .Add(ToMap(labels), bounds);
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

CallMetrics::CallMetrics(Metrics& metrics, const std::vector<Method>& methods, bool extensive) {
  for (const Method& method : methods) {
    absl::string_view path = method.path;
    size_t slash = path.rfind('/');
    CHECK_MSG(slash != absl::string_view::npos && slash > 0, path);
    Metrics::Labels labels = {{"grpc_type", TypeName(method.kind)},
                              {"grpc_service", std::string(path.substr(1, slash - 1))},
                              {"grpc_method", std::string(path.substr(slash + 1))}};
    Series& series = series_[method.path];
    series.started = &metrics.Counter("grpc_server_started_total",
                                      "Total number of RPCs started on the server.", labels);
    series.received =
        &metrics.Counter("grpc_server_msg_received_total",
                         "Total number of RPC stream messages received on the server.", labels);
    series.sent =
        &metrics.Counter("grpc_server_msg_sent_total",
                         "Total number of gRPC stream messages sent by the server.", labels);
    for (size_t code = 0; code < series.handled.size(); ++code) {
      Metrics::Labels with_code = labels;
      with_code.emplace_back("grpc_code", kCodeNames[code]);
      series.handled[code] =
          &metrics.Counter("grpc_server_handled_total",
                           "Total number of RPCs completed on the server, regardless of success "
                           "or failure.",
                           with_code);
    }
    if (extensive) {
      series.seconds = &metrics.Histogram(
          "grpc_server_handling_seconds",
          "Histogram of response latency (seconds) of gRPC that had been application-level handled "
          "by the server.",
          labels, 0.001, 2, 14);
    }
    AddDurations(metrics, method, series);
  }
  received_bytes_ = &metrics.Counter("etcd_network_client_grpc_received_bytes_total",
                                     "The total number of bytes received from grpc clients.");
  sent_bytes_ = &metrics.Counter("etcd_network_client_grpc_sent_bytes_total",
                                 "The total number of bytes sent to grpc clients.");
}

void CallMetrics::AddDurations(Metrics& metrics, const Method& method, Series& series) {
  for (bool success : {false, true}) {
    Metrics::Labels outcome = {{"success", success ? "true" : "false"}};
    auto& durations = series.durations[success];
    for (const RequestType& request : kRequestTypes) {
      if (method.path != request.path) continue;
      Metrics::Labels labels = outcome;
      labels.emplace_back("type", request.type);
      durations.push_back(&metrics.Histogram("etcd_server_request_duration_seconds",
                                             "Response latency (seconds) of each request type.",
                                             labels, 0.001, 2, 14));
      if (request.type != absl::string_view("Range")) continue;
      durations.push_back(&metrics.Histogram("etcd_server_range_duration_seconds",
                                             "The latency distributions of txn.Range.", outcome,
                                             0.0001, 2, 20));
    }
    for (const OperationHistogram& operation : kOperationHistograms) {
      if (method.path != operation.path) continue;
      durations.push_back(&metrics.Histogram(operation.name, operation.help, {},
                                             operation.start_seconds, 2, operation.count));
    }
  }
  if (method.path == "/etcdserverpb.Maintenance/Defragment") {
    series.in_progress = &metrics.Gauge(
        "etcd_disk_defrag_inflight",
        "Whether or not defrag is active on the member. 1 means active, 0 means not.");
  }
}

CallMetrics::Series* CallMetrics::Find(const Method& method) {
  auto it = series_.find(method.path);
  return it == series_.end() ? nullptr : &it->second;
}

void CallMetrics::OnStarted(const Method& method) {
  Series* series = Find(method);
  if (series == nullptr) return;
  series->started->Increment();
  if (series->in_progress != nullptr) series->in_progress->Increment();
}

void CallMetrics::OnMessageReceived(const Method& method) {
  if (Series* series = Find(method)) series->received->Increment();
}

void CallMetrics::OnMessageSent(const Method& method) {
  if (Series* series = Find(method)) series->sent->Increment();
}

void CallMetrics::OnHandled(const Method& method, absl::StatusCode code, absl::Duration took) {
  Series* series = Find(method);
  if (series == nullptr) return;
  size_t index = static_cast<size_t>(code);
  if (index >= series->handled.size()) index = static_cast<size_t>(absl::StatusCode::kUnknown);
  series->handled[index]->Increment();
  double seconds = absl::ToDoubleSeconds(took);
  if (series->seconds != nullptr) series->seconds->Observe(seconds);
  for (prometheus::Histogram* duration : series->durations[code == absl::StatusCode::kOk]) {
    duration->Observe(seconds);
  }
  if (series->in_progress != nullptr) series->in_progress->Decrement();
}

void CallMetrics::OnBytes(uint64_t received, uint64_t sent) {
  if (received > 0) received_bytes_->Increment(static_cast<double>(received));
  if (sent > 0) sent_bytes_->Increment(static_cast<double>(sent));
}

}  // namespace tidemark::server
