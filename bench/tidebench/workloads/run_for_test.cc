#include "bench/tidebench/workloads/run_for_test.h"

#include <memory>
#include <vector>

#include "bench/tidebench/runner.h"
#include "gtest/gtest.h"
#include "src/base/check.h"

namespace tidemark::bench {

WorkloadOptions SmallForTest() {
  return {.clients = 4,
          .connections = 2,
          .keys = 64,
          .value_bytes = 200,
          .watchers = 6,
          .page_keys = 10,
          .compact_every_s = 0.005,
          .scale = 0.002};
}

const WorkloadKind& KindForTest(absl::string_view name) {
  for (const WorkloadKind& each : WorkloadKinds()) {
    if (each.name == name) return each;
  }
  Fatal("no such workload");
}

absl::Status RunForTest(const ServerForTest& server, absl::string_view name,
                        const WorkloadOptions& options) {
  const std::unique_ptr<Workload> workload = KindForTest(name).make(options);
  std::unique_ptr<Activity> fill;
  std::vector<std::unique_ptr<Activity>> activities;
  std::unique_ptr<Activity> read_back;
  const auto client = server.Connect(workload->connections());
  Runner runner(*client);
  fill = workload->MakeFill(*client);
  if (fill != nullptr) {
    absl::Status status = runner.RunToEnd(fill.get(), [] {});
    if (!status.ok()) return status;
    EXPECT_EQ(fill->answers(), workload->fill_requests());
  }
  activities = workload->MakeActivities(*client);
  std::vector<Activity*> borrowed;
  for (const auto& activity : activities) borrowed.push_back(activity.get());
  // At the scale of a test, some parts of a cluster's load send a request in a minute.
  const absl::Status status = runner
                                  .Measure(borrowed, {.warm_up_ns = 10'000'000,
                                                      .span_ns = 20'000'000,
                                                      .least_answers = name == "k8s-100k" ? 0 : 1,
                                                      .silence_limit_ns = 1'000'000'000})
                                  .status();
  if (!status.ok()) return status;
  read_back = workload->MakeReadBack(*client);
  return read_back == nullptr ? absl::OkStatus() : runner.RunToEnd(read_back.get(), [] {});
}

}  // namespace tidemark::bench
