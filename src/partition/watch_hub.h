// The ports of one partition that must hear of every move of its watermark (merged watches).
//
// Sequence-bound to the partition's executor.
#pragma once

#include <memory>

#include "absl/container/btree_map.h"

namespace tidemark::partition {

class WatchPort;

class WatchHub {
 public:
  void Add(std::shared_ptr<WatchPort> port);
  void Remove(const WatchPort* port);
  // The partition applied something, or its watermark moved.
  void OnApplied();

 private:
  uint64_t next_ = 0;
  absl::btree_map<uint64_t, std::shared_ptr<WatchPort>> ports_;  // in the order added
};

}  // namespace tidemark::partition
