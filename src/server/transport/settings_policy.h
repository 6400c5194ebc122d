// Counts SETTINGS frames that come more often than an honest client sends them.
//
// Clients send one, and some adjust their window now and then as they measure the way. Immutable
// rules, pure state.
#pragma once

#include <algorithm>

#include "absl/time/time.h"

namespace tidemark::server {

class SettingsPolicy {
 public:
  static constexpr double kBurst = 32;
  static constexpr absl::Duration kInterval = absl::Seconds(1);  // one more each

  // True while the client may stay.
  bool OnSettings(absl::Duration now) {
    left_ = std::min(kBurst, left_ + absl::FDivDuration(now - last_, kInterval));
    last_ = now;
    left_ -= 1;
    return left_ >= 0;
  }

 private:
  absl::Duration last_ = absl::ZeroDuration();
  double left_ = kBurst;
};

}  // namespace tidemark::server
