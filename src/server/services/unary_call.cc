#include "src/server/services/unary_call.h"

#include "google/protobuf/io/coded_stream.h"

namespace tidemark::server {
namespace {

// 128 levels (contract 2.7) of an operation and the transaction that it is.
constexpr int kTxnMessageDepth = 2 * 128 + 8;

// Smaller replies are part of what a call costs.
constexpr int64_t kCountedReplyBytes = 16 << 10;

}  // namespace

bool ParseRequest(absl::string_view bytes, etcdserverpb::TxnRequest& request) {
  const int size = static_cast<int>(bytes.size());
  if (request.ParseFromArray(bytes.data(), size)) return true;
  google::protobuf::io::CodedInputStream input(reinterpret_cast<const uint8_t*>(bytes.data()),
                                               size);
  input.SetRecursionLimit(kTxnMessageDepth);
  return request.ParseFromCodedStream(&input) && input.ConsumedEntireMessage();
}

void UnaryCall::CountReply(const ByteChain& message) {
  const int64_t bytes = static_cast<int64_t>(message.heap_bytes());
  if (bytes < kCountedReplyBytes) return;
  reply_charge_ = MemoryCharge(*context_.options().budget, MemoryAccount::kReads);
  reply_charge_.Set(bytes);
}

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
