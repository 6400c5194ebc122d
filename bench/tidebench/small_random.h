// SplitMix64: a generator of two words, for choosing keys a few hundred thousand times a second.
//
// A value; the same seed gives the same numbers.
#pragma once

#include <cstdint>

namespace tidemark::bench {

class SmallRandom {
 public:
  explicit SmallRandom(uint64_t seed) : state_(seed) {}

  uint64_t Next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  int64_t Below(int64_t bound) {  // REQUIRES: bound > 0; small against 2^64, so no bias to speak of
    return static_cast<int64_t>(Next() % static_cast<uint64_t>(bound));
  }
  double Fraction() { return static_cast<double>(Next() >> 11) * 0x1p-53; }  // [0, 1)

 private:
  uint64_t state_;
};

}  // namespace tidemark::bench
