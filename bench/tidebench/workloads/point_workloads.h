// Workloads of requests for single keys: put, get, update, create.
//
// Hides how the keys are shared out. Bound to one thread.
#pragma once

#include <memory>
#include <vector>

#include "bench/tidebench/dataset.h"
#include "bench/tidebench/workloads/workload.h"

namespace tidemark::bench {

// A load that stores every key of `dataset`, `batch_keys` a request; `next` starts at 0.
std::unique_ptr<Load> MakeFillLoad(Client& client, Dataset* dataset, int64_t batch_keys,
                                   int64_t* next);
int64_t FillBatchKeys(int64_t value_bytes);

class PointWorkload : public Workload {
 public:
  enum class Kind { kPut, kGet, kSerializableGet, kUpdate, kCreate };

  PointWorkload(Kind kind, const WorkloadOptions& options);

  std::unique_ptr<Activity> MakeFill(Client& client) override;
  int64_t fill_requests() const override;
  std::vector<std::unique_ptr<Activity>> MakeActivities(Client& client) override;

 private:
  std::unique_ptr<Op> MakeOp(Connection& connection, int64_t number);

  const Kind kind_;
  const WorkloadOptions options_;
  Dataset dataset_;
  int64_t next_fill_ = 0;
};

}  // namespace tidemark::bench
