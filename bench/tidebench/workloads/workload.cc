#include "bench/tidebench/workloads/workload.h"

#include "bench/tidebench/workloads/point_workloads.h"

namespace tidemark::bench {
namespace {

template <PointWorkload::Kind kind>
std::unique_ptr<Workload> MakePoint(const WorkloadOptions& options) {
  return std::make_unique<PointWorkload>(kind, options);
}

}  // namespace

const std::vector<WorkloadKind>& WorkloadKinds() {
  using Kind = PointWorkload::Kind;
  static const auto& kinds = *new std::vector<WorkloadKind>{
      {"put", "Put of one of the keys, answered when it is durable", MakePoint<Kind::kPut>},
      {"get", "linearizable Range of one key", MakePoint<Kind::kGet>},
      {"get-serializable", "serializable Range of one key", MakePoint<Kind::kSerializableGet>},
      {"update-Txn", "if mod_revision is as known then put else get, as kube-apiserver updates",
       MakePoint<Kind::kUpdate>},
      {"create", "if the key is not there then put, as kube-apiserver creates",
       MakePoint<Kind::kCreate>},
  };
  return kinds;
}

}  // namespace tidemark::bench
