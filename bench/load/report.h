// What was measured, as Markdown tables: medians over the rounds, and how far the rounds lie apart.
//
// Pure: measurements in, text out.
#pragma once

#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "bench/load/caller.h"
#include "bench/load/closed_loop.h"

namespace tidemark::load {

enum class Contender { kTidemark, kEtcd };

struct Case {
  Workload workload;
  int64_t callers;
  auto operator<=>(const Case&) const = default;
};

// One measurement for each round.
using Results = std::map<std::pair<Case, Contender>, std::vector<Measurement>>;

std::string Name(Workload workload);
std::string Name(Contender contender);
std::string MarkdownReport(const Results& results);

}  // namespace tidemark::load
