// How a version store is set up. Immutable.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "src/base/memory_budget.h"
#include "src/mvcc/segment_room.h"

namespace tidemark::mvcc {

struct StoreOptions {
  std::string name;                     // prefix of region names
  uint64_t identity = 0;                // of the data: regions with another one are not adopted
  uint64_t start_id = 0;                // of the journal's start that this process is; opaque here
  size_t segment_size_bytes = 4 << 20;  // larger records get a segment of their own
  MemoryBudget* budget = nullptr;       // where segments are counted; nullptr: nowhere
  SegmentRoom* room = nullptr;          // shared with others; nullptr: there is always room
};

}  // namespace tidemark::mvcc
