// How fast tables just written are read again: slowly, so that the journal's syncs hardly feel it,
// unless the journal cannot wait.
//
// Hides RocksDB's limiters. Hurry and Interrupt from any thread; Pay from the thread that reads.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "rocksdb/rate_limiter.h"

namespace tidemark::kvstore {

class ReadBackPace {
 public:
  struct Rates {
    uint64_t bytes_per_second = 0;
    uint64_t hurried_bytes_per_second = 0;
    uint64_t at_once_bytes = 0;  // read between two rests
  };
  explicit ReadBackPace(const Rates& rates);

  void Hurry(bool hurries) { hurries_ = hurries; }
  // For good.
  void Interrupt() { is_interrupted_ = true; }

  bool is_interrupted() const { return is_interrupted_; }
  // What is read at once before the next Pay.
  int64_t at_once_bytes() const { return at_once_bytes_; }
  // Waits until so much more may be read. False: interrupted.
  bool Pay();

 private:
  const int64_t at_once_bytes_;
  const std::unique_ptr<rocksdb::RateLimiter> gentle_;
  const std::unique_ptr<rocksdb::RateLimiter> hurried_;
  std::atomic<bool> hurries_{false};
  std::atomic<bool> is_interrupted_{false};
};

}  // namespace tidemark::kvstore
