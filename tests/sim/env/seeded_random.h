// Randomness that a seed repeats, with the draws that simulations need.
//
// Bound to the simulator's one thread.
#pragma once

#include <cstdint>
#include <random>

#include "src/base/check.h"
#include "src/base/random.h"

namespace tidemark::sim {

class SeededRandom : public Random {
 public:
  explicit SeededRandom(uint64_t seed) : engine_(seed) {}

  uint64_t Next() override { return engine_(); }

 private:
  std::mt19937_64 engine_;
};

// 0 <= result < bound.
inline uint64_t DrawBelow(Random& random, uint64_t bound) {
  CHECK(bound > 0);
  return random.Next() % bound;
}
inline bool DrawOneIn(Random& random, uint64_t n) { return DrawBelow(random, n) == 0; }

}  // namespace tidemark::sim
