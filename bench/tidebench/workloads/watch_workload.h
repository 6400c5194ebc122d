// Writers and many watchers of what they write: what one event costs for each of them.
#pragma once

#include <memory>

#include "bench/tidebench/workloads/workload.h"

namespace tidemark::bench {

std::unique_ptr<Workload> MakeWatch(const WorkloadOptions& options);

}  // namespace tidemark::bench
