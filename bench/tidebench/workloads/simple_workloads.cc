#include "bench/tidebench/workloads/simple_workloads.h"

#include <utility>

#include "bench/tidebench/workloads/dataset_workload.h"
#include "bench/tidebench/workloads/lease_ops.h"
#include "bench/tidebench/workloads/list_ops.h"
#include "bench/tidebench/workloads/point_ops.h"

namespace tidemark::bench {
namespace {

constexpr int64_t kMostCreated = 90'000'000;
constexpr int64_t kLeaseTtlS = 3660;  // as kube-apiserver asks for events

int64_t Or(int64_t given, int64_t otherwise) { return given != 0 ? given : otherwise; }

Dataset::Options Pods(const WorkloadOptions& options, int64_t value_bytes) {
  return {.prefix = options.prefix.empty() ? "/registry/pods/load/pod-" : options.prefix,
          .keys = Or(options.keys, 10'000),
          .value_bytes = Or(options.value_bytes, value_bytes)};
}

// A workload whose ops are made by `make(connection, share of the keys)`.
template <class Make>
class SharedKeys : public DatasetWorkload {
 public:
  SharedKeys(const WorkloadOptions& options, Dataset::Options dataset, Make make)
      : DatasetWorkload(options, std::move(dataset)), make_(std::move(make)) {}

 private:
  std::unique_ptr<Op> MakeOp(Connection& connection, int64_t number) override {
    return make_(connection, Share(number));
  }

  const Make make_;
};

// The same for ops that read all keys.
template <class Make>
class WholeDataset : public DatasetWorkload {
 public:
  WholeDataset(const WorkloadOptions& options, Dataset::Options dataset, Make make)
      : DatasetWorkload(options, std::move(dataset)), make_(std::move(make)) {}

 private:
  std::unique_ptr<Op> MakeOp(Connection& connection, int64_t) override {
    return make_(connection, &dataset());
  }

  const Make make_;
};

// Nothing is stored before.
template <class MadeOp>
class Unfilled : public DatasetWorkload {
 public:
  using DatasetWorkload::DatasetWorkload;
  std::unique_ptr<Activity> MakeFill(Client&) override { return nullptr; }
  int64_t fill_requests() const override { return 0; }

 private:
  std::unique_ptr<Op> MakeOp(Connection& connection, int64_t number) override {
    return std::make_unique<MadeOp>(connection, Share(number));
  }
};

class Leases : public Workload {
 public:
  Leases(const WorkloadOptions& options, bool keeps_alive)
      : options_(options), keeps_alive_(keeps_alive) {
    if (keeps_alive) pool_.wanted = std::max(Or(options.keys, 10'000), options.clients);
  }

  int64_t connections() const override { return options_.connections; }
  int64_t fill_requests() const override { return pool_.wanted; }

  std::unique_ptr<Activity> MakeFill(Client& client) override {
    if (!keeps_alive_) return nullptr;
    return MakeLoad(client, {.name = "fill", .count = 64, .connections = client.size()},
                    [this](Connection& connection, int64_t) {
                      return std::make_unique<GrantOp>(connection, kLeaseTtlS, &pool_);
                    });
  }

  std::vector<std::unique_ptr<Activity>> MakeActivities(Client& client) override {
    std::vector<std::unique_ptr<Activity>> activities;
    activities.push_back(
        MakeLoad(client,
                 {.count = options_.clients,
                  .connections = options_.connections,
                  .arrivals = ArrivalsOf(options_)},
                 [this](Connection& connection, int64_t number) -> std::unique_ptr<Op> {
                   if (!keeps_alive_)
                     return std::make_unique<GrantOp>(connection, kLeaseTtlS, &pool_);
                   return std::make_unique<KeepAliveOp>(connection, kLeaseTtlS, &pool_, number,
                                                        options_.clients);
                 }));
    return activities;
  }

 private:
  const WorkloadOptions options_;
  const bool keeps_alive_;
  LeasePool pool_;
};

template <class MadeOp>
std::unique_ptr<Workload> OnShares(const WorkloadOptions& options, Dataset::Options dataset) {
  const auto make = [](Connection& connection, KeyShare share) {
    return std::make_unique<MadeOp>(connection, std::move(share));
  };
  return std::make_unique<SharedKeys<decltype(make)>>(options, std::move(dataset), make);
}

std::unique_ptr<Workload> Gets(const WorkloadOptions& options, bool is_serializable) {
  const auto make = [is_serializable](Connection& connection, KeyShare share) {
    return std::make_unique<GetOp>(connection, std::move(share), is_serializable);
  };
  return std::make_unique<SharedKeys<decltype(make)>>(options, Pods(options, 1024), make);
}

std::unique_ptr<Workload> Pages(const WorkloadOptions& options, int64_t page_keys) {
  const auto make = [page_keys](Connection& connection, Dataset* dataset) {
    return std::make_unique<PageOp>(connection, dataset, page_keys);
  };
  return std::make_unique<WholeDataset<decltype(make)>>(options, Pods(options, 2048), make);
}

}  // namespace

std::unique_ptr<Workload> MakeEcho(const WorkloadOptions& options) {
  return std::make_unique<Unfilled<EchoOp>>(options, Pods(options, 1024));
}
std::unique_ptr<Workload> MakePut(const WorkloadOptions& options) {
  return OnShares<PutOp>(options, Pods(options, 1024));
}
std::unique_ptr<Workload> MakeGet(const WorkloadOptions& options) { return Gets(options, false); }
std::unique_ptr<Workload> MakeSerializableGet(const WorkloadOptions& options) {
  return Gets(options, true);
}
std::unique_ptr<Workload> MakeUpdate(const WorkloadOptions& options) {
  return OnShares<UpdateOp>(options, Pods(options, 1024));
}
std::unique_ptr<Workload> MakeCreate(const WorkloadOptions& options) {
  return std::make_unique<Unfilled<CreateOp>>(
      options, Dataset::Options{.prefix = "/registry/pods/create-" + options.run + "/pod-",
                                .keys = kMostCreated,
                                .value_bytes = Or(options.value_bytes, 1024)});
}
std::unique_ptr<Workload> MakePages(const WorkloadOptions& options) {
  return Pages(options, Or(options.page_keys, 500));
}
std::unique_ptr<Workload> MakeList(const WorkloadOptions& options) { return Pages(options, 0); }
std::unique_ptr<Workload> MakeRangeStream(const WorkloadOptions& options) {
  const auto make = [](Connection& connection, Dataset* dataset) {
    return std::make_unique<RangeStreamOp>(connection, dataset);
  };
  return std::make_unique<WholeDataset<decltype(make)>>(options, Pods(options, 2048), make);
}
std::unique_ptr<Workload> MakeLeaseGrant(const WorkloadOptions& options) {
  return std::make_unique<Leases>(options, false);
}
std::unique_ptr<Workload> MakeLeaseKeepAlive(const WorkloadOptions& options) {
  return std::make_unique<Leases>(options, true);
}
std::unique_ptr<Workload> MakeLeaseFlood(const WorkloadOptions& options) {
  return OnShares<RenewOp>(options, {.prefix = "/registry/leases/kube-node-lease/node-",
                                     .keys = Or(options.keys, 100'000),
                                     .value_bytes = Or(options.value_bytes, 500)});
}

}  // namespace tidemark::bench
