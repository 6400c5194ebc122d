// Closed-loop load on one server: every caller sends its next request when it has its answer.
//
// Hides the completion queue and the clock. One thread sends and receives for all callers, so the
// client takes at most one core (gRPC's own threads aside) however many calls are outstanding.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "bench/load/caller.h"
#include "tests/process/server_process.h"

namespace tidemark::load {

struct LoopOptions {
  int64_t callers = 1;
  int64_t connections = 1;
  absl::Duration warm_up;
  absl::Duration duration;
};

// Counts answers that arrived within the measured time, which starts after the warm-up.
struct Measurement {
  double requests_per_s = 0;
  double p50_us = 0;
  double p99_us = 0;
  double server_cpu_us = 0;     // user and system time per request
  double server_cores = 0;      // CPU time over elapsed time
  double client_cores = 0;
  double other_cores = 0;       // everything else on the machine, the kernel's own threads too
};

// The first wrong or failed answer ends the run with an error.
absl::StatusOr<Measurement> RunClosedLoop(const process::ServerProcess& server, Workload workload,
                                          const LoopOptions& options, Dataset* dataset);

}  // namespace tidemark::load
