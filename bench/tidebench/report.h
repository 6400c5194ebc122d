// What a run measured, as JSON for programs and as a few lines for people.
//
// Pure: results in, text out.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "bench/tidebench/load.h"
#include "bench/tidebench/runner.h"

namespace tidemark::bench {

struct LoadReport {
  std::string name;
  bool is_open_loop = false;
  LoadResult result;
};

struct Report {
  nlohmann::json configuration;
  RunResult run;
  std::vector<LoadReport> loads;
  double fill_s = 0;
};

nlohmann::json ToJson(const Report& report);
std::string Summary(const Report& report);

}  // namespace tidemark::bench
