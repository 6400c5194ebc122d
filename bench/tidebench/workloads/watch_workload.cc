#include "bench/tidebench/workloads/watch_workload.h"

#include "bench/tidebench/workloads/dataset_workload.h"
#include "bench/tidebench/workloads/deliveries.h"
#include "bench/tidebench/workloads/point_ops.h"

namespace tidemark::bench {
namespace {

constexpr int64_t kWatchersDefault = 100;

// Writers have connections of their own, so that a long queue of events does not hold up answers.
class Watch : public DatasetWorkload {
 public:
  explicit Watch(const WorkloadOptions& options)
      : DatasetWorkload(options,
                        {.prefix = "/registry/pods/load/pod-",
                         .keys = options.keys != 0 ? options.keys : 10'000,
                         .value_bytes = options.value_bytes != 0 ? options.value_bytes : 1024}) {}

  int64_t connections() const override { return 2 * options().connections; }

  std::vector<std::unique_ptr<Activity>> MakeActivities(Client& client) override {
    const int64_t count = options().watchers != 0 ? options().watchers : kWatchersDefault;
    std::vector<Connection*> watching;
    for (int64_t i = 0; i < count; ++i) {
      watching.push_back(&client.connection(options().connections + i % options().connections));
    }
    std::vector<std::unique_ptr<Activity>> activities;
    activities.push_back(std::make_unique<Deliveries>(
        Activity::Description{.name = "deliveries", .unit = "delivery"}, &dataset(), watching));
    activities.push_back(MakeLoad(
        client,
        {.name = "updates",
         .count = options().clients,
         .connections = options().connections,
         .arrivals = ArrivalsOf(options()),
         .is_main = false},
        [this](Connection& connection, int64_t number) { return MakeOp(connection, number); }));
    return activities;
  }

 private:
  std::unique_ptr<Op> MakeOp(Connection& connection, int64_t number) override {
    return std::make_unique<UpdateOp>(connection, Share(number));
  }
};

}  // namespace

std::unique_ptr<Workload> MakeWatch(const WorkloadOptions& options) {
  return std::make_unique<Watch>(options);
}

}  // namespace tidemark::bench
