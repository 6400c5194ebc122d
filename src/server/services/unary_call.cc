#include "src/server/services/unary_call.h"

namespace tidemark::server {
namespace {

// Smaller replies are part of what a call costs.
constexpr int64_t kCountedReplyBytes = 16 << 10;

}  // namespace

bool UnaryCall::HoldMemory(int64_t bytes) {
  if (bytes == 0) return true;
  MemoryBudget& budget = *context_.options().budget;
  request_charge_ = MemoryCharge(budget, MemoryAccount::kConnections);
  if (request_charge_.TryRaise(bytes)) return true;
  budget.CountRefusal(MemoryAccount::kConnections);
  return false;
}

void UnaryCall::CountReply(const ByteChain& message) {
  const int64_t bytes = static_cast<int64_t>(message.heap_bytes());
  if (bytes < kCountedReplyBytes) return;
  reply_charge_ = MemoryCharge(*context_.options().budget, MemoryAccount::kReads);
  reply_charge_.Set(bytes);
}

void UnaryCall::End() {
  ended_ = true;
  if (!started_.has_value()) return;
  const absl::Duration took = context_.clock().Monotonic() - *started_;
  if (took <= context_.options().warning_unary_request_duration) return;
  context_.counters().slow_requests.fetch_add(1, std::memory_order_relaxed);
  TLOG(kWarn, "request stats",
       {{"method", call_->method()},
        {"remote", call_->peer().address},
        {"took", took},
        {"expected-duration", context_.options().warning_unary_request_duration}});
}

}  // namespace tidemark::server
