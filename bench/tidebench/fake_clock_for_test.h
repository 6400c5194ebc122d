// The time of tests that have no clock. Bound to one thread.
#pragma once

#include <cstdint>

namespace tidemark::bench {

inline constexpr int64_t kMs = 1'000'000;

inline int64_t fake_now_ns = 0;
inline int64_t FakeNowNs() { return fake_now_ns; }

}  // namespace tidemark::bench
