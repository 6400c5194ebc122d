// What a Kubernetes cluster of 100,000 nodes asks of its store, scaled by one factor.
//
// The mix is derived from how kube-apiserver 1.37 works: each node renews its lease every 10 s and
// reports its status every 5 min; 500 pods a second come and 500 go, each with 8 writes and 5
// events; six apiservers watch every resource, ask for progress every 100 ms and compare their
// caches with the store every 5 min, one list after another; history is compacted as often. What is
// estimated stands in the table of k8s_workload.cc.
#pragma once

#include <memory>

#include "bench/tidebench/workloads/workload.h"

namespace tidemark::bench {

std::unique_ptr<Workload> MakeK8s(const WorkloadOptions& options);

}  // namespace tidemark::bench
