// The ports of one partition that must hear of something: of every move of its watermark (merged
// watches); while the node starts, of the partition being whole.
//
// Sequence-bound to the partition's executor, except whole().
#pragma once

#include <atomic>
#include <memory>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"

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
  void AddWaiting(std::shared_ptr<WatchPort> port) { waiting_.push_back(std::move(port)); }
  void RemoveWaiting(const WatchPort* port) {
    std::erase_if(waiting_, [port](const auto& waiting) { return waiting.get() == port; });
  }

 private:
  std::atomic<bool> whole_{false};
  std::vector<std::shared_ptr<WatchPort>> waiting_;  // in the order added
  uint64_t next_ = 0;
  absl::btree_map<uint64_t, std::shared_ptr<WatchPort>> ports_;  // in the order added
  absl::flat_hash_map<const WatchPort*, uint64_t> numbers_;      // of them
};

}  // namespace tidemark::partition
