#include "bench/tidebench/workloads/k8s_workload.h"

#include <algorithm>
#include <utility>

#include "bench/tidebench/workloads/compaction_ops.h"
#include "bench/tidebench/workloads/dataset_workload.h"
#include "bench/tidebench/workloads/deliveries.h"
#include "bench/tidebench/workloads/k8s_ops.h"
#include "bench/tidebench/workloads/lease_ops.h"
#include "bench/tidebench/workloads/point_ops.h"
#include "bench/tidebench/workloads/progress_asker.h"
#include "bench/tidebench/workloads/read_back.h"

namespace tidemark::bench {
namespace {

constexpr double kNodes = 100'000;  // at scale 1, as everything here
constexpr double kPodsPerNode = 9;
constexpr double kPodChurnPerS = 500;  // in, and out
constexpr double kLeaseRenewalS = 10;
constexpr double kNodeStatusS = 300;
constexpr double kEventsPerPod = 5;
constexpr double kOtherWritesPerPod = 2;  // endpoint slices, statuses of owners
constexpr double kGetsPerPod = 3;         // estimated; each deletion is one
constexpr double kProbesPerPod = 1;       // estimated; consistent lists
constexpr double kSlicesPerNode = 0.1;
constexpr int64_t kApiservers = 6;
constexpr int64_t kProgressIntervalNs = 100'000'000;
constexpr double kCompactEveryS = 300;
constexpr double kCheckEveryS = 300;  // of one cache
constexpr int64_t kEventTtlS = 3660;
constexpr double kObjectsPerLease = 1000;
constexpr int64_t kMostObjects = 99'000'000;

// In the order of their connections: kApiservers for each.
enum Resource : int64_t { kLeases, kNodeObjects, kPods, kSlices, kEvents, kResources };

struct ResourceShape {
  const char* prefix;
  const char* probe;  // the key that is read for the revision
  int64_t value_bytes;
};
constexpr ResourceShape kShapes[kResources] = {
    {"/registry/leases/kube-node-lease/node-", "/registry/leases", 500},
    {"/registry/minions/node-", "/registry/minions", 20'000},
    {"/registry/pods/default/pod-", "/registry/pods", 8'000},
    {"/registry/endpointslices/default/slice-", "/registry/endpointslices", 3'000},
    {"/registry/events/default/event-", "/registry/events", 1'000},
};

class K8s : public Workload {
 public:
  explicit K8s(const WorkloadOptions& options)
      : options_(options), scale_(options.scale > 0 ? options.scale : 0.1) {
    for (const ResourceShape& shape : kShapes) {
      datasets_.push_back(std::make_unique<Dataset>(Dataset::Options{
          .prefix = shape.prefix, .keys = kMostObjects, .value_bytes = shape.value_bytes}));
    }
    filler_ = std::make_unique<Filler>(std::vector<Filler::Part>{
        {&dataset(kLeases), stored(kLeases)},
        {&dataset(kNodeObjects), stored(kNodeObjects)},
        {&dataset(kPods), stored(kPods)},
        {&dataset(kSlices), stored(kSlices)},
    });
    // Not events, which go when their leases run out.
    read_back_ = std::make_unique<ReadBack>(
        std::vector{&dataset(kLeases), &dataset(kNodeObjects), &dataset(kPods), &dataset(kSlices)},
        options_.seed);
  }

  int64_t connections() const override { return kApiservers * kResources; }
  std::unique_ptr<Activity> MakeFill(Client& client) override { return filler_->Make(client); }
  int64_t fill_requests() const override { return filler_->requests(); }
  std::unique_ptr<Activity> MakeReadBack(Client& client) override {
    return read_back_->Make(client);
  }

  std::vector<std::unique_ptr<Activity>> MakeActivities(Client& client) override {
    std::vector<std::unique_ptr<Activity>> activities;
    AddWatches(client, &activities);
    AddWrites(client, &activities);
    AddReads(client, &activities);
    AddMaintenance(client, &activities);
    return activities;
  }
  int64_t compactions() const override { return compactions_.count; }

 private:
  using Activities = std::vector<std::unique_ptr<Activity>>;

  Dataset& dataset(Resource resource) { return *datasets_[resource]; }
  int64_t stored(Resource resource) const {
    switch (resource) {
      case kLeases:
      case kNodeObjects:
        return AtLeastOne(kNodes);
      case kPods:
        return AtLeastOne(kNodes * kPodsPerNode);
      case kSlices:
        return AtLeastOne(kNodes * kSlicesPerNode);
      default:
        return 0;
    }
  }
  int64_t NewestRevision() const {
    int64_t newest = 0;
    for (const auto& dataset : datasets_) newest = std::max(newest, dataset->newest_revision());
    return newest;
  }
  int64_t AtLeastOne(double at_full_scale) const {
    return std::max<int64_t>(1, static_cast<int64_t>(at_full_scale * scale_));
  }

  // Requests to one resource, spread over its apiservers' connections. Enough may be outstanding
  // for a quarter of a second, but no more than there are keys to share.
  void Add(Client& client, Activities* activities, std::string name, Resource resource,
           double per_second, int64_t at_most, const OpFactory& make) {
    const auto enough = static_cast<int64_t>(per_second * 0.25);
    activities->push_back(
        MakeLoad(client,
                 {.name = std::move(name),
                  .count = std::min(std::clamp<int64_t>(enough, 16, 4096), at_most),
                  .first_connection = resource * kApiservers,
                  .connections = kApiservers,
                  .arrivals = Arrivals(per_second, options_.spacing, options_.seed + next_seed_++)},
                 make));
  }
  // The same with ops on shares of keys [begin, end) of the resource.
  template <class MadeOp, class... Arguments>
  void AddOnKeys(Client& client, Activities* activities, std::string name, Resource resource,
                 double per_second, KeyShare::Range range, Arguments... arguments) {
    const int64_t owners =
        std::min(std::clamp<int64_t>(static_cast<int64_t>(per_second * 0.25), 16, 4096),
                 range.end - range.begin);
    Add(client, activities, std::move(name), resource, per_second, owners,
        [=, this](Connection& connection, int64_t number) {
          return std::make_unique<MadeOp>(
              connection, KeyShare(&dataset(resource), range, number, owners, options_.seed),
              arguments...);
        });
  }

  // One at a time, at even distances whatever the spacing of the others.
  void AddPeriodic(Client& client, Activities* activities, std::string name, double period_s,
                   const OpFactory& make) {
    activities->push_back(MakeLoad(client,
                                   {.name = std::move(name),
                                    .first_connection = kNodeObjects * kApiservers,
                                    .connections = kApiservers,
                                    .arrivals = Arrivals::Every(period_s),
                                    .is_main = false},
                                   make));
  }

  void AddWatches(Client& client, Activities* activities) {
    std::vector<ProgressStream*> streams;
    for (const Resource resource : {kLeases, kNodeObjects, kPods, kSlices}) {
      std::vector<Connection*> watching;
      for (int64_t i = 0; i < kApiservers; ++i) {
        watching.push_back(&client.connection(resource * kApiservers + i));
      }
      auto deliveries = std::make_unique<Deliveries>(
          Activity::Description{.name = std::string("events of ") + kShapes[resource].probe,
                                .unit = "delivery",
                                .is_main = false},
          &dataset(resource), watching);
      for (int64_t i = 0; i < kApiservers; ++i) streams.push_back(&deliveries->stream(i));
      activities->push_back(std::move(deliveries));
    }
    activities->push_back(std::make_unique<ProgressAsker>(
        Activity::Description{.name = "progress", .is_main = false, .is_open_loop = true}, streams,
        [this] { return NewestRevision(); }, kProgressIntervalNs));
  }

  void AddWrites(Client& client, Activities* activities) {
    const double churn = kPodChurnPerS * scale_;
    AddOnKeys<RenewOp>(client, activities, "lease renewals", kLeases,
                       kNodes * scale_ / kLeaseRenewalS, {0, stored(kLeases)});
    AddOnKeys<RenewOp>(client, activities, "node statuses", kNodeObjects,
                       kNodes * scale_ / kNodeStatusS, {0, stored(kNodeObjects)});
    AddOnKeys<PodLifeOp>(client, activities, "pod writes", kPods, PodLifeOp::kWrites * churn,
                         {stored(kPods), kMostObjects});
    AddOnKeys<UpdateOp>(client, activities, "other writes", kSlices, kOtherWritesPerPod * churn,
                        {0, stored(kSlices)});
    AddOnKeys<EventOp, const LeasePool*>(client, activities, "event creates", kEvents,
                                         kEventsPerPod * churn, {0, kMostObjects}, &event_leases_);
    const int64_t event_ttl_s = options_.event_ttl_s > 0 ? options_.event_ttl_s : kEventTtlS;
    Add(client, activities, "event leases", kEvents,
        std::max(1.0, kEventsPerPod * churn / kObjectsPerLease), 1,
        [this, event_ttl_s](Connection& connection, int64_t) {
          return std::make_unique<GrantOp>(connection, event_ttl_s, &event_leases_);
        });
  }

  void AddReads(Client& client, Activities* activities) {
    const double churn = kPodChurnPerS * scale_;
    AddOnKeys<GetOp, bool>(client, activities, "gets", kPods, kGetsPerPod * churn,
                           {0, stored(kPods)}, false);
    Add(client, activities, "revision probes", kPods, kProbesPerPod * churn, kMostObjects,
        [this](Connection& connection, int64_t) {
          return std::make_unique<ProbeOp>(connection, &dataset(kPods), kShapes[kPods].probe);
        });
  }

  void AddMaintenance(Client& client, Activities* activities) {
    const double compact_every_s =
        options_.compact_every_s > 0 ? options_.compact_every_s : kCompactEveryS;
    const double check_every_s = options_.check_every_s > 0 ? options_.check_every_s : kCheckEveryS;
    std::vector<const Dataset*> checked;
    for (const Resource resource : {kLeases, kNodeObjects, kPods, kSlices}) {
      checked.push_back(&dataset(resource));
    }
    const auto caches = static_cast<double>(kApiservers * checked.size());
    AddPeriodic(client, activities, "cache checks", check_every_s / caches,
                [checked](Connection& connection, int64_t) {
                  return std::make_unique<CheckerOp>(connection, checked);
                });
    AddPeriodic(client, activities, "compactions", compact_every_s,
                [this](Connection& connection, int64_t) {
                  return std::make_unique<CompactOp>(connection, &dataset(kLeases), &compactions_);
                });
  }

  const WorkloadOptions options_;
  const double scale_;
  std::vector<std::unique_ptr<Dataset>> datasets_;  // by Resource
  std::unique_ptr<Filler> filler_;
  std::unique_ptr<ReadBack> read_back_;
  LeasePool event_leases_;
  Compactions compactions_;
  uint64_t next_seed_ = 0;
};

}  // namespace

std::unique_ptr<Workload> MakeK8s(const WorkloadOptions& options) {
  return std::make_unique<K8s>(options);
}

}  // namespace tidemark::bench
