// One run of the simulator: a seed decides the knobs, the workload, the faults and every order.
//
// Phases: faults on; then healed, until every client has its answers (liveness); then the final
// checks: history, watches, journal, and the same state again after a restart.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tidemark::sim {

struct RunResult {
  std::vector<std::string> problems;  // empty: passed
  std::vector<std::string> faults;
  std::vector<std::string> recent_events;
  uint64_t trace_hash = 0;
  int64_t operations = 0;
  int64_t answered = 0;
  int64_t events_run = 0;
  int64_t crashes = 0;
  int64_t watch_events = 0;
  int64_t revisions = 0;
  std::string knobs;
  // Fail points passed, for the coverage report.
  std::vector<std::string> fail_points;
};

RunResult RunSeed(uint64_t seed);

}  // namespace tidemark::sim
