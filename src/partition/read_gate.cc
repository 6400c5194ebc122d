#include "src/partition/read_gate.h"

#include "src/kvstore/etcd_errors.h"

namespace tidemark::partition {

bool ReadGate::IsRefusal(const absl::Status& status) {
  return status == kvstore::ErrTooManyRequests();
}

void ReadGate::TryLater(std::shared_ptr<Read> read) {
  if (++read->tries == kMaxTries) return Refuse(*read);
  // It had at least the room that it was let in for. Half of the share is the most to wait for.
  const int64_t share = budget_.share_bytes(MemoryAccount::kReads);
  read->needed_bytes = share / 8 * std::min(read->tries + 1, 4);
  Wait(std::move(read));
}

void ReadGate::Wait(std::shared_ptr<Read> read) {
  if (stopped_ || waiting_.size() >= kMaxWaiting) return Refuse(*read);
  waiting_.push_back(std::move(read));
  waiting_count_.store(waiting_.size(), std::memory_order_relaxed);
  if (!polling_) Poll();
}

void ReadGate::Refuse(Read& read) {
  if (stopped_) return read.Refuse(kvstore::ErrStopped());
  if (IsGone(read)) return read.Refuse(absl::CancelledError("context canceled"));
  budget_.CountRefusal(MemoryAccount::kReads);
  read.Refuse(kvstore::ErrTooManyRequests());
}

// Whoever fits may go, also past a larger one: that one's time is limited.
void ReadGate::Poll() {
  polling_ = false;
  std::list<std::shared_ptr<Read>> fitting;
  std::list<std::shared_ptr<Read>> refused;
  const absl::Duration now = clock_.Monotonic();
  int64_t free_bytes = budget_.free_bytes(MemoryAccount::kReads);
  for (auto it = waiting_.begin(); it != waiting_.end();) {
    const auto here = it++;
    const Read& read = **here;
    if (stopped_ || IsGone(read) || read.deadline <= now) {
      refused.splice(refused.end(), waiting_, here);
    } else if (read.needed_bytes <= free_bytes) {
      free_bytes -= read.needed_bytes;
      fitting.splice(fitting.end(), waiting_, here);
    }
  }
  waiting_count_.store(waiting_.size(), std::memory_order_relaxed);
  for (const auto& read : refused) Refuse(*read);
  for (const auto& read : fitting) read->Try(*this);
  if (waiting_.empty()) return;
  polling_ = true;
  home_.PostAt(now + kPollInterval, [this] { Poll(); });
}

void ReadGate::Stop() {
  stopped_ = true;
  if (!waiting_.empty()) home_.Post([this] { Poll(); });
}

}  // namespace tidemark::partition
