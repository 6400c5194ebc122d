// How a partition's memory is named and marked: by whoever makes it and whoever looks for it.
//
// Values; pure functions.
#pragma once

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "src/base/ids.h"
#include "src/mvcc/version_store.h"

namespace tidemark::partition {

// `journal` is the journal's identity. A region of one partition is not taken for another's.
inline mvcc::StoreOptions StoreOptionsOf(uint64_t journal, PartitionId partition) {
  mvcc::StoreOptions options;
  options.name = absl::StrCat("p", partition.value());
  options.identity = journal ^ (uint64_t{partition.value()} + 1) * 0x9E3779B97F4A7C15;
  return options;
}

}  // namespace tidemark::partition
