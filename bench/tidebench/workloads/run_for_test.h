// Runs a workload for a moment, small enough for a test.
//
// Bound to the test's thread.
#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "bench/tidebench/server_for_test.h"
#include "bench/tidebench/workloads/workload.h"

namespace tidemark::bench {

WorkloadOptions SmallForTest();
const WorkloadKind& KindForTest(absl::string_view name);
// Fill and measurement of at least one answer of each activity.
absl::Status RunForTest(const ServerForTest& server, absl::string_view name,
                        const WorkloadOptions& options = SmallForTest());

}  // namespace tidemark::bench
