// The workloads of single keys.
#include "bench/tidebench/workloads/point_workloads.h"

#include <algorithm>
#include <utility>

#include "bench/tidebench/workloads/point_ops.h"
#include "src/base/check.h"

namespace tidemark::bench {
namespace {

constexpr int64_t kFillers = 16;
constexpr int64_t kMostCreated = 90'000'000;
constexpr int64_t kMaxBatchKeys = 100;       // below the default of --max-txn-ops
constexpr int64_t kMaxBatchBytes = 1 << 20;  // below that of --max-request-bytes

std::optional<Arrivals> ArrivalsOf(const WorkloadOptions& options) {
  if (options.per_second <= 0) return std::nullopt;
  return Arrivals(options.per_second, options.spacing, options.seed);
}

}  // namespace

int64_t FillBatchKeys(int64_t value_bytes) {
  return std::clamp<int64_t>(kMaxBatchBytes / std::max<int64_t>(value_bytes, 1), 1, kMaxBatchKeys);
}

std::unique_ptr<Load> MakeFillLoad(Client& client, Dataset* dataset, int64_t batch_keys,
                                   int64_t* next) {
  std::vector<std::unique_ptr<Op>> ops;
  for (int64_t i = 0; i < kFillers; ++i) {
    ops.push_back(
        std::make_unique<FillOp>(client.connection(i % client.size()), dataset, batch_keys, next));
  }
  return std::make_unique<Load>(Load::Options{.name = "fill"}, std::move(ops));
}

PointWorkload::PointWorkload(Kind kind, const WorkloadOptions& options)
    : kind_(kind),
      options_(options),
      dataset_(kind == Kind::kCreate
                   ? Dataset::Options{.prefix = "/registry/pods/create-" + options.run + "/pod-",
                                      .keys = kMostCreated,
                                      .value_bytes = options.value_bytes}
                   : Dataset::Options{.prefix = "/registry/pods/load/pod-",
                                      .keys = options.keys,
                                      .value_bytes = options.value_bytes}) {}

int64_t PointWorkload::fill_requests() const {
  if (kind_ == Kind::kCreate) return 0;
  const int64_t batch = FillBatchKeys(options_.value_bytes);
  return (options_.keys + batch - 1) / batch;
}

std::unique_ptr<Activity> PointWorkload::MakeFill(Client& client) {
  if (kind_ == Kind::kCreate) return nullptr;
  return MakeFillLoad(client, &dataset_, FillBatchKeys(options_.value_bytes), &next_fill_);
}

std::unique_ptr<Op> PointWorkload::MakeOp(Connection& connection, int64_t number) {
  KeyShare share(&dataset_, number, options_.clients, options_.seed);
  switch (kind_) {
    case Kind::kPut:
      return std::make_unique<PutOp>(connection, std::move(share));
    case Kind::kGet:
      return std::make_unique<GetOp>(connection, std::move(share), false);
    case Kind::kSerializableGet:
      return std::make_unique<GetOp>(connection, std::move(share), true);
    case Kind::kUpdate:
      return std::make_unique<UpdateOp>(connection, std::move(share));
    case Kind::kCreate:
      return std::make_unique<CreateOp>(connection, std::move(share));
  }
  Fatal("no such kind");
}

std::vector<std::unique_ptr<Activity>> PointWorkload::MakeActivities(Client& client) {
  std::vector<std::unique_ptr<Op>> ops;
  for (int64_t i = 0; i < options_.clients; ++i) {
    ops.push_back(MakeOp(client.connection(i % options_.connections), i));
  }
  std::vector<std::unique_ptr<Activity>> activities;
  activities.push_back(std::make_unique<Load>(
      Load::Options{.name = "requests", .arrivals = ArrivalsOf(options_)}, std::move(ops)));
  return activities;
}

}  // namespace tidemark::bench
