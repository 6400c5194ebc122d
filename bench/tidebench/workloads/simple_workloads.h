// Workloads of one kind of request: on single keys, lists, leases.
//
// Hides how many keys of which size they work on unless told otherwise.
#pragma once

#include <memory>

#include "bench/tidebench/workloads/workload.h"

namespace tidemark::bench {

std::unique_ptr<Workload> MakeEcho(const WorkloadOptions& options);
std::unique_ptr<Workload> MakePut(const WorkloadOptions& options);
std::unique_ptr<Workload> MakeGet(const WorkloadOptions& options);
std::unique_ptr<Workload> MakeSerializableGet(const WorkloadOptions& options);
std::unique_ptr<Workload> MakeUpdate(const WorkloadOptions& options);
std::unique_ptr<Workload> MakeCreate(const WorkloadOptions& options);
std::unique_ptr<Workload> MakePages(const WorkloadOptions& options);
std::unique_ptr<Workload> MakeList(const WorkloadOptions& options);
std::unique_ptr<Workload> MakeRangeStream(const WorkloadOptions& options);
std::unique_ptr<Workload> MakeLeaseGrant(const WorkloadOptions& options);
std::unique_ptr<Workload> MakeLeaseKeepAlive(const WorkloadOptions& options);
std::unique_ptr<Workload> MakeLeaseFlood(const WorkloadOptions& options);

}  // namespace tidemark::bench
