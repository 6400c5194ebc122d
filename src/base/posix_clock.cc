#include "src/base/posix_clock.h"

#include <ctime>

#include "absl/time/clock.h"
#include "src/base/check.h"

namespace tidemark {

absl::Duration PosixClock::Monotonic() const {
  timespec now;
  CHECK(::clock_gettime(CLOCK_MONOTONIC, &now) == 0);
  return absl::DurationFromTimespec(now);
}

absl::Time PosixClock::Wall() const { return absl::Now(); }

}  // namespace tidemark
