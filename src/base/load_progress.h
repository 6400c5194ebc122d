// How far a start has got with bringing one partition's data into memory: written by those who do
// it, read by whoever reports on it. And the way to tell them that nobody waits any more.
//
// Data is first read (verified, or copied from a disk), then indexed; both count.
// Thread-safe.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace tidemark {

class LoadProgress {
 public:
  struct Figures {
    uint64_t total_bytes = 0;
    uint64_t read_bytes = 0;
    double done = 0;  // of all work, about; 0 to 1
  };

  // From the beginning, perhaps again with other data. The total may be corrected later.
  // `index_share`: how much of the work is indexing, about; 0 to 1.
  void Begin(uint64_t total_bytes, double index_share) {
    total_bytes_.store(total_bytes, std::memory_order_relaxed);
    read_bytes_.store(0, std::memory_order_relaxed);
    index_share_.store(index_share, std::memory_order_relaxed);
    indexed_parts_.store(0, std::memory_order_relaxed);
  }
  void CorrectTotal(uint64_t was_bytes, uint64_t is_bytes) {
    total_bytes_.fetch_add(is_bytes - was_bytes, std::memory_order_relaxed);
  }
  void AddRead(uint64_t bytes) { read_bytes_.fetch_add(bytes, std::memory_order_relaxed); }

  // Indexing is that many parts, of about equal work.
  void BeginIndexing(uint64_t parts) { index_parts_.store(parts, std::memory_order_relaxed); }
  void AddIndexedPart() { indexed_parts_.fetch_add(1, std::memory_order_relaxed); }

  void End() {
    read_bytes_.store(total_bytes_.load(std::memory_order_relaxed), std::memory_order_relaxed);
    indexed_parts_.store(index_parts_.load(std::memory_order_relaxed), std::memory_order_relaxed);
  }

  Figures Get() const {
    Figures figures;
    figures.total_bytes = total_bytes_.load(std::memory_order_relaxed);
    figures.read_bytes = read_bytes_.load(std::memory_order_relaxed);
    const double index_share = index_share_.load(std::memory_order_relaxed);
    figures.done = (1 - index_share) * Share(figures.read_bytes, figures.total_bytes) +
                   index_share * Share(indexed_parts_.load(std::memory_order_relaxed),
                                       index_parts_.load(std::memory_order_relaxed));
    return figures;
  }

  void Cancel() { cancelled_.store(true, std::memory_order_relaxed); }
  bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }

 private:
  static double Share(uint64_t done, uint64_t total) {
    return total == 0 ? 1 : std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
  }

  std::atomic<uint64_t> total_bytes_{0};
  std::atomic<uint64_t> read_bytes_{0};
  std::atomic<double> index_share_{0};
  std::atomic<uint64_t> index_parts_{1};
  std::atomic<uint64_t> indexed_parts_{0};
  std::atomic<bool> cancelled_{false};
};

}  // namespace tidemark
