// The door to randomness (origin ids, lease ids, jitter). Never used for anything secret.
//
// Thread-safe in production; the simulator's is bound to its one thread.
#pragma once

#include <cstdint>

namespace tidemark {

class Random {
 public:
  virtual ~Random() = default;
  virtual uint64_t Next() = 0;
};

}  // namespace tidemark
