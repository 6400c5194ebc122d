#include "src/server/services/unary_call.h"

namespace tidemark::server {

void UnaryCall::End() {
  ended_ = true;
  absl::Duration took = context_.clock().Monotonic() - started_;
  if (took <= context_.options().warning_unary_request_duration) return;
  context_.counters().slow_requests.fetch_add(1, std::memory_order_relaxed);
  TLOG(kWarn, "request stats",
       {{"method", call_->method()},
        {"remote", call_->peer().address},
        {"took", took},
        {"expected-duration", context_.options().warning_unary_request_duration}});
}

}  // namespace tidemark::server
