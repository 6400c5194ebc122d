// Counts pings that come more often than allowed, by gRPC's rule.
//
// A ping is a strike when the last one was less than the minimum interval ago - two hours when no
// call is open. Anything we send to the client forgives all strikes. Immutable rules, pure state.
#pragma once

#include "absl/time/time.h"

namespace tidemark::server {

class PingPolicy {
 public:
  static constexpr int kMaxStrikes = 2;

  explicit PingPolicy(absl::Duration min_interval) : min_interval_(min_interval) {}

  // Headers or data were sent.
  void OnSent() { forgiven_ = true; }

  // True while the client may stay.
  bool OnPing(absl::Duration now, bool has_open_calls) {
    const absl::Duration since_last = now - last_ping_;
    last_ping_ = now;
    if (forgiven_) {
      forgiven_ = false;
      strikes_ = 0;
      return true;
    }
    if (since_last < (has_open_calls ? min_interval_ : absl::Hours(2))) ++strikes_;
    return strikes_ <= kMaxStrikes;
  }

 private:
  const absl::Duration min_interval_;
  absl::Duration last_ping_ = -absl::InfiniteDuration();
  int strikes_ = 0;
  bool forgiven_ = false;
};

}  // namespace tidemark::server
