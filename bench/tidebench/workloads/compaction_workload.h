// Updates while history is compacted once a second: what they feel of it.
#pragma once

#include <memory>

#include "bench/tidebench/workloads/workload.h"

namespace tidemark::bench {

std::unique_ptr<Workload> MakeCompaction(const WorkloadOptions& options);

}  // namespace tidemark::bench
