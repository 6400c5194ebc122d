// What a process and the machine have used so far, from outside: /proc and the process's CPU clock.
//
// Hides /proc's formats. Values.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "absl/status/statusor.h"

namespace tidemark::bench {

struct ProcessSample {
  int64_t cpu_ns = 0;  // user and system
  double user_s = 0;   // by the kernel's ticks
  double system_s = 0;
  int64_t rss_bytes = 0;     // with shared memory
  int64_t shared_bytes = 0;  // of rss_bytes: mapped from tmpfs
  int64_t peak_rss_bytes = 0;
  int64_t written_bytes = 0;  // towards disks; 0 when not ours to know
  int64_t read_bytes = 0;
};

// Fails when there is no such process.
absl::StatusOr<ProcessSample> SampleProcess(pid_t pid);

struct MachineSample {
  int64_t at_ns = 0;
  int64_t own_cpu_ns = 0;  // of this process
  double busy_s = 0;       // of all cores: everything but idle and waiting for disks
};
MachineSample SampleMachine();

}  // namespace tidemark::bench
