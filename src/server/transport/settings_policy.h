// Counts what SETTINGS frames cost when they come more often than an honest client sends them.
//
// Clients send one, and some adjust their windows a few times a second while they measure the way.
// Each may change the windows of all streams, so it costs more the more there are. Immutable rules,
// pure state.
#pragma once

#include <algorithm>
#include <cstddef>

#include "absl/time/time.h"

namespace tidemark::server {

class SettingsPolicy {
 public:
  static constexpr double kBurst = 100;
  static constexpr double kPerSecond = 20;
  static constexpr double kStreamsThatDouble = 1000;  // what one costs

  // True while the client may stay.
  bool OnSettings(absl::Duration now, size_t open_streams) {
    left_ = std::min(kBurst, left_ + kPerSecond * absl::ToDoubleSeconds(now - last_));
    last_ = now;
    left_ -= 1 + static_cast<double>(open_streams) / kStreamsThatDouble;
    return left_ >= 0;
  }

 private:
  absl::Duration last_ = absl::ZeroDuration();
  double left_ = kBurst;
};

}  // namespace tidemark::server
