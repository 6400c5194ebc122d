#include "src/partition/start_gate.h"

#include <algorithm>
#include <utility>

#include "src/base/check.h"
#include "src/base/failpoint.h"
#include "src/kvstore/etcd_errors.h"

namespace tidemark::partition {

bool StartGate::AreWhole(const std::vector<PartitionId>& needed) const {
  if (open()) return true;
  if (PLANTED_BUG("gate_asks_for_one_part")) return IsWhole(needed.front());
  return std::all_of(needed.begin(), needed.end(), [this](PartitionId id) { return IsWhole(id); });
}

void StartGate::Wait(std::vector<PartitionId> needed, Cancelled cancelled, size_t bytes, Go go) {
  home_.Post(
      [this, waiting = Waiting{std::move(needed), std::move(cancelled), bytes, std::move(go),
                               absl::ZeroDuration()}]() mutable { Enter(std::move(waiting)); });
}

void StartGate::Enter(Waiting waiting) {
  if (stopped_) return waiting.go(kvstore::ErrStopped());
  if (AreWhole(waiting.needed)) return waiting.go(absl::OkStatus());
  if (!HasRoomFor(waiting.bytes)) DropGone();
  if (!HasRoomFor(waiting.bytes)) return waiting.go(kvstore::ErrTooManyRequests());
  waiting.deadline = clock_.Monotonic() + limits_.patience;
  waiting_bytes_ += waiting.bytes;
  waiting_.push_back(std::move(waiting));
  ArmTimer();
}

bool StartGate::HasRoomFor(size_t bytes) const {
  return waiting_.size() < limits_.waiting_max &&
         waiting_bytes_ + bytes <= limits_.waiting_bytes_max;
}

void StartGate::DropGone() {
  for (auto it = waiting_.begin(); it != waiting_.end();) {
    const auto here = it++;
    if (here->cancelled == nullptr || !here->cancelled->load()) continue;
    Answer(here, absl::CancelledError("context canceled"));
  }
}

void StartGate::Answer(Queue::iterator which, absl::Status status) {
  Waiting waiting = std::move(*which);
  waiting_.erase(which);
  CHECK(waiting_bytes_ >= waiting.bytes);
  waiting_bytes_ -= waiting.bytes;
  waiting.go(std::move(status));
}

void StartGate::SetWhole(PartitionId id) {
  if (whole_[id.value()].exchange(true, std::memory_order_release)) return;
  whole_count_.fetch_add(1, std::memory_order_release);
  for (auto it = waiting_.begin(); it != waiting_.end();) {
    const auto here = it++;
    if (AreWhole(here->needed)) Answer(here, absl::OkStatus());
  }
}

void StartGate::ArmTimer() {
  if (waiting_.empty() || std::exchange(timer_armed_, true)) return;
  timer_ = home_.PostAt(waiting_.front().deadline, [this] {
    timer_armed_ = false;
    RefuseOverdue();
  });
}

void StartGate::RefuseOverdue() {
  const absl::Duration now = clock_.Monotonic();
  while (!waiting_.empty() && waiting_.front().deadline <= now) {
    Answer(waiting_.begin(), kvstore::ErrTimeout());
  }
  ArmTimer();
}

void StartGate::Stop() {
  stopped_ = true;
  if (timer_armed_) home_.Cancel(timer_);
  while (!waiting_.empty()) Answer(waiting_.begin(), kvstore::ErrStopped());
}

}  // namespace tidemark::partition
