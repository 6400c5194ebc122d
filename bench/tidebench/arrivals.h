// When requests of an open-loop load are to be sent: at a rate, whatever the answers do.
//
// Latency counts from these times, so a server that stalls is charged for every request that it
// made wait, sent or not. Pure; a value.
#pragma once

#include <cstdint>

#include "bench/tidebench/small_random.h"

namespace tidemark::bench {

class Arrivals {
 public:
  enum class Spacing { kEven, kPoisson };

  Arrivals(double per_second, Spacing spacing, uint64_t seed);

  // Even ones of which the first is half a period after the start: what happens once a period
  // happens in a span of one.
  static Arrivals Every(double period_s);

  void StartAt(int64_t start_ns);  // begins anew; else the first arrival is one gap later
  int64_t next_ns() const { return next_ns_; }
  void Take();  // on to the one behind next_ns

 private:
  void Advance();

  const double gap_ns_;
  const Spacing spacing_;
  SmallRandom random_;
  int64_t start_ns_ = 0;
  double first_gaps_ = 1;
  double since_start_ns_ = 0;
  int64_t taken_ = 0;
  int64_t next_ns_ = 0;
};

}  // namespace tidemark::bench
