// HashKV over all partitions: the stored changes merged in revision order, in bounded steps
// (contract 5.3).
//
// Hides the walk. Reads on the partitions' sequences, a step of each at a time; adds up on `home`.
// REQUIRES that nothing above `compacted` is removed meanwhile (RemovalQueue sees to it).
#pragma once

#include <functional>
#include <memory>

#include "absl/functional/any_invocable.h"
#include "src/base/clock.h"
#include "src/base/executor.h"
#include "src/base/ids.h"
#include "src/partition/parts.h"

namespace tidemark::partition {

struct HashWalkSpec {
  Revision at{0};
  Revision compacted{0};  // the compact revision to reckon with
  int64_t step = 256;     // stored changes looked at in one step of a partition
};

// Of the time that a step took, how much to rest before the next. Asked on `home` after each.
using RestPercent = std::function<int()>;

// The hash of `spec`; `done` runs on `home`.
void RunHashWalk(const Parts& parts, Executor& home, const Clock& clock, const HashWalkSpec& spec,
                 RestPercent rest_percent, absl::AnyInvocable<void(uint32_t hash)> done);

}  // namespace tidemark::partition
