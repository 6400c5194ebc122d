#include "bench/tidebench/workloads/watch_workload.h"

#include <utility>

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
    auto made = std::make_unique<Deliveries>(
        Activity::Description{.name = "deliveries", .unit = "delivery"}, &dataset(), watching);
    Deliveries* const deliveries = made.get();
    activities.push_back(std::move(made));
    activities.push_back(MakeLoad(
        client,
        {.name = "updates",
         .count = options().clients,
         .connections = options().connections,
         .arrivals = ArrivalsOf(options()),
         .is_main = false,
         .on_never_sent = [deliveries](
                              int64_t due_ns,
                              int64_t now_ns) { deliveries->ChargeNeverWritten(due_ns, now_ns); }},
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
