#include "bench/tidebench/workloads/workload.h"

#include "bench/tidebench/workloads/compaction_workload.h"
#include "bench/tidebench/workloads/k8s_workload.h"
#include "bench/tidebench/workloads/simple_workloads.h"
#include "bench/tidebench/workloads/watch_workload.h"

namespace tidemark::bench {

const std::vector<WorkloadKind>& WorkloadKinds() {
  static const auto& kinds = *new std::vector<WorkloadKind>{
      {"put", "Put of 1 KiB under one of 10,000 keys, answered when it is durable", MakePut},
      {"get", "linearizable Range of one such key", MakeGet},
      {"get-serializable", "serializable Range of one such key", MakeSerializableGet},
      {"update-Txn",
       "if mod_revision is as known then put 1 KiB, else get: how kube-apiserver updates",
       MakeUpdate},
      {"create", "if the key is not there then put 1 KiB: how kube-apiserver creates", MakeCreate},
      {"pages", "Range of 500 of 10,000 keys of 2 KiB, page after page at one revision", MakePages},
      {"list", "Range of 10,000 keys of 2 KiB in one answer", MakeList},
      {"list-stream", "the same with RangeStream", MakeRangeStream},
      {"watch", "one event for each of 100 watchers (--watchers), of updates at --rate", MakeWatch},
      {"compaction", "update-Txn while history is compacted once a second", MakeCompaction},
      {"lease-grant", "LeaseGrant for an hour", MakeLeaseGrant},
      {"lease-keep-alive", "keep-alive of one of 10,000 leases, over a stream a client",
       MakeLeaseKeepAlive},
      {"lease-flood", "update-Txn of 100,000 node leases of 500 bytes, one after the other",
       MakeLeaseFlood},
      {"echo", "1 KiB there and back, of echo_server or bare_server: a transport alone", MakeEcho},
      {"k8s-100k", "the mixed load of 100,000 nodes times --scale (0.1): see k8s_workload.h",
       MakeK8s},
  };
  return kinds;
}

}  // namespace tidemark::bench
