// How far a start has got with bringing one partition's data into memory: written by those who do
// it, read by whoever reports on it. And the way to tell them that nobody waits any more.
//
// Data is first read (verified, or copied from a disk), then indexed; both count.
// Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>

namespace tidemark {

class LoadProgress {
 public:
  struct Figures {
    uint64_t total_bytes = 0;
    uint64_t read_bytes = 0;
    uint64_t indexed_bytes = 0;
  };

  // From the beginning, perhaps again with other data. The total may be corrected later.
  void Begin(uint64_t total_bytes) {
    total_bytes_.store(total_bytes, std::memory_order_relaxed);
    read_bytes_.store(0, std::memory_order_relaxed);
    indexed_bytes_.store(0, std::memory_order_relaxed);
  }
  void CorrectTotal(uint64_t was_bytes, uint64_t is_bytes) {
    total_bytes_.fetch_add(is_bytes - was_bytes, std::memory_order_relaxed);
  }
  void AddRead(uint64_t bytes) { read_bytes_.fetch_add(bytes, std::memory_order_relaxed); }
  // One of `parts` equal parts of everything was indexed.
  void AddIndexedPart(uint64_t parts) {
    indexed_bytes_.fetch_add(total_bytes_.load(std::memory_order_relaxed) / parts,
                             std::memory_order_relaxed);
  }
  void End() {
    const uint64_t total_bytes = total_bytes_.load(std::memory_order_relaxed);
    read_bytes_.store(total_bytes, std::memory_order_relaxed);
    indexed_bytes_.store(total_bytes, std::memory_order_relaxed);
  }
  Figures Get() const {
    return {total_bytes_.load(std::memory_order_relaxed),
            read_bytes_.load(std::memory_order_relaxed),
            indexed_bytes_.load(std::memory_order_relaxed)};
  }

  void Cancel() { cancelled_.store(true, std::memory_order_relaxed); }
  bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> total_bytes_{0};
  std::atomic<uint64_t> read_bytes_{0};
  std::atomic<uint64_t> indexed_bytes_{0};
  std::atomic<bool> cancelled_{false};
};

}  // namespace tidemark
