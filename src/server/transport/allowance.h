// How often a client may do what costs us more than it: a bucket of tokens that fills again.
//
// Pure state; time is given.
#pragma once

#include <algorithm>

#include "absl/time/time.h"

namespace tidemark::server {

class Allowance {
 public:
  struct Limits {
    double burst = 0;
    double per_second = 0;
  };

  explicit Allowance(const Limits& limits) : limits_(limits), left_(limits.burst) {}

  // False: too often.
  bool Take(absl::Duration now, double cost = 1) {
    left_ =
        std::min(limits_.burst, left_ + limits_.per_second * absl::ToDoubleSeconds(now - last_));
    last_ = now;
    left_ -= cost;
    return left_ >= 0;
  }

 private:
  const Limits limits_;
  absl::Duration last_ = absl::ZeroDuration();
  double left_;
};

}  // namespace tidemark::server
