// What was measured in each second (or another interval) of a run, one line of JSON each: for what
// changes in the course of a long run.
//
// Hides the file and what was already told. Bound to one thread.
#pragma once

#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include "bench/tidebench/activity.h"
#include "bench/tidebench/histogram.h"

namespace tidemark::bench {

class IntervalLog {
 public:
  IntervalLog(const std::string& file, double interval_s);

  // Writes a line for the main activities when the interval is over; call it more often than that.
  void Tick(const std::vector<Activity*>& activities, int64_t now_ns, double wall_s);

 private:
  std::ofstream file_;
  const int64_t interval_ns_;
  int64_t begin_ns_ = 0;
  double begin_wall_s_ = 0;
  Histogram told_;  // all latencies up to the last line
};

}  // namespace tidemark::bench
