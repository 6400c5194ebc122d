// What a run measured, as JSON for programs and as a few lines for people.
//
// Pure: results in, text out.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "bench/tidebench/activity.h"
#include "bench/tidebench/runner.h"

namespace tidemark::bench {

struct ActivityReport {
  Activity::Description description;
  ActivityResult result;
};

struct Report {
  nlohmann::json configuration;
  RunResult run;
  std::vector<ActivityReport> activities;
  double fill_s = 0;
  int64_t compactions = 0;     // acknowledged since the load began, in the warm-up, too
  int64_t keys_read_back = 0;  // after the run, to be compared with what was written
};

nlohmann::json ToJson(const Report& report);
std::string Summary(const Report& report);

}  // namespace tidemark::bench
