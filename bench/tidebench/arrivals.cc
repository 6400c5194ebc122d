#include "bench/tidebench/arrivals.h"

#include <cmath>

#include "src/base/check.h"

namespace tidemark::bench {

Arrivals::Arrivals(double per_second, Spacing spacing, uint64_t seed)
    : gap_ns_(1e9 / per_second), spacing_(spacing), random_(seed) {
  CHECK(per_second > 0);
}

Arrivals Arrivals::Every(double period_s) {
  Arrivals arrivals(1 / period_s, Spacing::kEven, 1);
  arrivals.first_gaps_ = 0.5;
  return arrivals;
}

void Arrivals::StartAt(int64_t start_ns) {
  start_ns_ = start_ns;
  since_start_ns_ = 0;
  taken_ = 0;
  Advance();
}

void Arrivals::Take() { Advance(); }

void Arrivals::Advance() {
  ++taken_;
  switch (spacing_) {
    case Spacing::kEven:  // from the count, so that rounding never adds up
      since_start_ns_ = gap_ns_ * (first_gaps_ + static_cast<double>(taken_ - 1));
      break;
    case Spacing::kPoisson:
      since_start_ns_ -= gap_ns_ * std::log(1 - random_.Fraction());
      break;
  }
  next_ns_ = start_ns_ + static_cast<int64_t>(since_start_ns_);
}

}  // namespace tidemark::bench
