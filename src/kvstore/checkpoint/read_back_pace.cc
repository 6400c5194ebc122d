#include "src/kvstore/checkpoint/read_back_pace.h"

#include <algorithm>

#include "src/base/check.h"

namespace tidemark::kvstore {
namespace {

// One that grants `at_once_bytes` in a go; more in one request is an assertion in Debian's build.
std::unique_ptr<rocksdb::RateLimiter> MakeLimiter(uint64_t bytes_per_second, uint64_t at_once) {
  CHECK(at_once > 0 && bytes_per_second >= at_once && bytes_per_second <= INT32_MAX);
  // Rounded up, so that a period's worth is no less.
  const uint64_t period_us = (at_once * 1'000'000 + bytes_per_second - 1) / bytes_per_second + 1;
  return std::unique_ptr<rocksdb::RateLimiter>(rocksdb::NewGenericRateLimiter(
      static_cast<int64_t>(bytes_per_second), static_cast<int64_t>(period_us), /*fairness=*/10,
      rocksdb::RateLimiter::Mode::kAllIo));
}

}  // namespace

ReadBackPace::ReadBackPace(const Rates& rates)
    : at_once_bytes_(static_cast<int64_t>(rates.at_once_bytes)),
      gentle_(MakeLimiter(rates.bytes_per_second, rates.at_once_bytes)),
      hurried_(MakeLimiter(rates.hurried_bytes_per_second, rates.at_once_bytes)) {
  CHECK(std::min(gentle_->GetSingleBurstBytes(), hurried_->GetSingleBurstBytes()) >=
        at_once_bytes_);
}

bool ReadBackPace::Pay() {
  if (is_interrupted_) return false;
  rocksdb::RateLimiter& limiter = hurries_ ? *hurried_ : *gentle_;
  limiter.Request(at_once_bytes_, rocksdb::Env::IO_LOW, /*stats=*/nullptr,
                  rocksdb::RateLimiter::OpType::kRead);
  return !is_interrupted_;
}

}  // namespace tidemark::kvstore
