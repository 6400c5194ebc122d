#include "bench/tidebench/workloads/dataset_workload.h"

#include <algorithm>
#include <utility>

namespace tidemark::bench {
namespace {

constexpr int64_t kFillers = 16;
constexpr int64_t kMaxBatchKeys = 100;       // below the default of --max-txn-ops
constexpr int64_t kMaxBatchBytes = 1 << 20;  // below that of --max-request-bytes

int64_t BatchKeys(const Dataset& dataset) {
  return std::clamp<int64_t>(kMaxBatchBytes / std::max<int64_t>(dataset.value_bytes(), 1), 1,
                             kMaxBatchKeys);
}

}  // namespace

int64_t Filler::requests() const {
  int64_t requests = 0;
  for (const Part& part : parts_) {
    const int64_t batch = BatchKeys(*part.dataset);
    requests += (part.keys + batch - 1) / batch;
  }
  return requests;
}

FillBatch Filler::Next() {
  while (part_ < parts_.size() && next_ == parts_[part_].keys) {
    ++part_;
    next_ = 0;
  }
  if (part_ == parts_.size()) return {};
  const Part& part = parts_[part_];
  const int64_t begin = next_;
  next_ = std::min(begin + BatchKeys(*part.dataset), part.keys);
  return {.dataset = part.dataset, .begin = begin, .end = next_};
}

std::unique_ptr<Activity> Filler::Make(Client& client) {
  return MakeLoad(client, {.name = "fill", .count = kFillers, .connections = client.size()},
                  [this](Connection& connection, int64_t) {
                    return std::make_unique<FillOp>(connection, [this] { return Next(); });
                  });
}

std::unique_ptr<Activity> MakeLoad(Client& client, LoadShape shape, const OpFactory& make) {
  std::vector<std::unique_ptr<Op>> ops;
  for (int64_t i = 0; i < shape.count; ++i) {
    ops.push_back(make(client.connection(shape.first_connection + i % shape.connections), i));
  }
  return std::make_unique<Load>(Load::Options{.name = std::move(shape.name),
                                              .arrivals = shape.arrivals,
                                              .is_main = shape.is_main,
                                              .on_never_sent = std::move(shape.on_never_sent)},
                                std::move(ops));
}

std::optional<Arrivals> ArrivalsOf(const WorkloadOptions& options) {
  if (options.per_second <= 0) return std::nullopt;
  return Arrivals(options.per_second, options.spacing, options.seed);
}

std::vector<std::unique_ptr<Activity>> DatasetWorkload::MakeActivities(Client& client) {
  std::vector<std::unique_ptr<Activity>> activities;
  activities.push_back(MakeLoad(
      client,
      {.count = options_.clients,
       .connections = options_.connections,
       .arrivals = ArrivalsOf(options_)},
      [this](Connection& connection, int64_t number) { return MakeOp(connection, number); }));
  return activities;
}

}  // namespace tidemark::bench
