// The ports of one partition that must hear of something: of every move of its watermark (merged
// watches); while the node starts, of the partition being whole.
//
// Sequence-bound to the partition's executor, except whole().
#pragma once

#include <atomic>
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

  // Until then the store is not to be touched. Any thread.
  bool whole() const { return whole_.load(std::memory_order_acquire); }
  void SetWhole();
  void AddWaiting(std::shared_ptr<WatchPort> port);
  void RemoveWaiting(const WatchPort* port) { waiting_.erase(port); }

 private:
  std::atomic<bool> whole_{false};
  absl::btree_map<const WatchPort*, std::shared_ptr<WatchPort>> waiting_;
  uint64_t next_ = 0;
  absl::btree_map<uint64_t, std::shared_ptr<WatchPort>> ports_;  // in the order added
};

}  // namespace tidemark::partition
