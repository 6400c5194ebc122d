// Every workload runs against a right server; wrong ones are in workload_lies_test.cc.
#include "bench/tidebench/workloads/workload.h"

#include <memory>
#include <vector>

#include "bench/tidebench/runner.h"
#include "bench/tidebench/server_for_test.h"
#include "bench/tidebench/workloads/run_for_test.h"
#include "gtest/gtest.h"

namespace tidemark::bench {
namespace {

WorkloadOptions OptionsFor(absl::string_view name) {
  WorkloadOptions options = SmallForTest();
  if (name == "k8s-100k") options.compact_every_s = 1000;  // the bare server has no history to read
  return options;
}

TEST(WorkloadTest, EveryKindRunsAgainstARightServer) {
  for (const WorkloadKind& kind : WorkloadKinds()) {
    const ServerForTest server;
    EXPECT_EQ(RunForTest(server, kind.name, OptionsFor(kind.name)), absl::OkStatus()) << kind.name;
  }
}

TEST(WorkloadTest, EveryKindRunsAtARate) {
  for (const WorkloadKind& kind : WorkloadKinds()) {
    WorkloadOptions options = OptionsFor(kind.name);
    options.per_second = 500;
    options.spacing = Arrivals::Spacing::kPoisson;
    const ServerForTest server;
    EXPECT_EQ(RunForTest(server, kind.name, options), absl::OkStatus()) << kind.name;
  }
}

TEST(WorkloadTest, AServerThatDiesFailsTheRun) {
  const std::unique_ptr<Workload> workload = KindForTest("put").make(SmallForTest());
  auto server = std::make_unique<ServerForTest>();
  std::vector<std::unique_ptr<Activity>> activities;
  const auto client = server->Connect(workload->connections());
  activities = workload->MakeActivities(*client);
  const auto result = Runner(*client).Measure(
      {activities[0].get()},
      {.span_ns = 60'000'000'000, .on_progress = [&](double) { server.reset(); }});
  EXPECT_TRUE(absl::IsUnavailable(result.status())) << result.status();
}

}  // namespace
}  // namespace tidemark::bench
