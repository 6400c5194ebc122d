// Puts many nodes into key order, on several threads.
//
// Hides a sample sort made for keys that begin alike: a sample cuts the keys into buckets; all keys
// of a bucket share what its two borders share, so that eight bytes behind that decide nearly every
// comparison without a look at the keys. The order does not depend on the number of threads.
// Stateless function.
#pragma once

#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "src/base/parallel_runner.h"
#include "src/mvcc/key_node.h"

namespace tidemark::mvcc {

// Gives all nodes to `take`, some at a time, in key order; one call at a time, on any thread, while
// others still sort. REQUIRES that keys are distinct.
void SortByKey(std::vector<KeyNode*> nodes, ParallelRunner& workers,
               absl::FunctionRef<void(absl::Span<KeyNode* const>)> take);

}  // namespace tidemark::mvcc
