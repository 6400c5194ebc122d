// The door to time. Everything that needs it is handed a Clock; nothing else in src/ reads one.
//
// Thread-safe.
#pragma once

#include "absl/time/time.h"

namespace tidemark {

class Clock {
 public:
  virtual ~Clock() = default;

  // Time since an arbitrary start; never goes back and is not moved by setting the wall clock.
  virtual absl::Duration Monotonic() const = 0;
  virtual absl::Time Wall() const = 0;
};

}  // namespace tidemark
