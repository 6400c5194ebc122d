// The machine's clocks. Thread-safe, without state.
#pragma once

#include "src/base/clock.h"

namespace tidemark {

class PosixClock : public Clock {
 public:
  absl::Duration Monotonic() const override;
  absl::Time Wall() const override;
};

}  // namespace tidemark
