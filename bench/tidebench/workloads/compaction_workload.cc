#include "bench/tidebench/workloads/compaction_workload.h"

#include "absl/strings/str_cat.h"
#include "bench/tidebench/workloads/compaction_ops.h"
#include "bench/tidebench/workloads/dataset_workload.h"
#include "bench/tidebench/workloads/point_ops.h"

namespace tidemark::bench {
namespace {

constexpr double kCompactEveryS = 1;
constexpr double kReadsPerCompaction = 20;

class Compaction : public DatasetWorkload {
 public:
  explicit Compaction(const WorkloadOptions& options)
      : DatasetWorkload(options,
                        {.prefix = "/registry/pods/load/pod-",
                         .keys = options.keys != 0 ? options.keys : 10'000,
                         .value_bytes = options.value_bytes != 0 ? options.value_bytes : 1024}) {}

  std::vector<std::unique_ptr<Activity>> MakeActivities(Client& client) override {
    const double period_s =
        options().compact_every_s > 0 ? options().compact_every_s : kCompactEveryS;
    auto activities = DatasetWorkload::MakeActivities(client);
    activities.push_back(MakeLoad(
        client, {.name = "compactions", .arrivals = Arrivals::Every(period_s), .is_main = false},
        [this](Connection& connection, int64_t) {
          return std::make_unique<CompactOp>(connection, &dataset(), &compactions_);
        }));
    // On another connection: a read that is sent behind a compaction's answer must see it anyway.
    activities.push_back(
        MakeLoad(client,
                 {.name = "reads of the past",
                  .first_connection = client.size() - 1,
                  .arrivals = Arrivals(kReadsPerCompaction / period_s, Arrivals::Spacing::kEven, 1),
                  .is_main = false},
                 [this](Connection& connection, int64_t) {
                   return std::make_unique<CompactedReadOp>(connection, &dataset(), &compactions_);
                 }));
    return activities;
  }
  int64_t compactions() const override { return compactions_.count; }

 private:
  std::unique_ptr<Op> MakeOp(Connection& connection, int64_t number) override {
    return std::make_unique<UpdateOp>(connection, Share(number));
  }

  Compactions compactions_;
};

}  // namespace

std::unique_ptr<Workload> MakeCompaction(const WorkloadOptions& options) {
  return std::make_unique<Compaction>(options);
}

}  // namespace tidemark::bench
