// Keeps what concerns a partition waiting until the partition is whole: loaded, replayed, claimed
// (docs/design-notes.md, "Serving early").
//
// Hides the queue, its bounds and its clock. Once every partition is whole the gate is open for
// good, and asking it costs one atomic read.
// Thread-safe where "any thread" is said; the rest belongs to home.
//
// Invariants:
//  1. Nothing passes before every partition that it needs is whole.
//  2. What waits is answered once: let through, refused when its patience is over, or at the end.
//     No more than the limits wait.
#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <memory>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "src/base/clock.h"
#include "src/base/executor.h"
#include "src/base/ids.h"

namespace tidemark::partition {

class StartGate {
 public:
  struct Limits {
    size_t waiting_max = 5000;
    size_t waiting_bytes_max = 64 << 20;  // of requests
    absl::Duration patience = absl::Seconds(7);
  };
  using Go = absl::AnyInvocable<void(absl::Status)>;
  using Cancelled = std::shared_ptr<const std::atomic<bool>>;

  StartGate(size_t partitions, Executor& home, const Clock& clock, Limits limits)
      : home_(home), clock_(clock), limits_(limits), whole_(partitions) {}

  // --- Any thread ---
  bool open() const { return whole_count() == whole_.size(); }
  size_t whole_count() const { return whole_count_.load(std::memory_order_acquire); }
  bool IsWhole(PartitionId id) const { return whole_[id.value()].load(std::memory_order_acquire); }
  bool AreWhole(const std::vector<PartitionId>& needed) const;
  // Runs `go` on home: once all of `needed` are whole, or with a refusal.
  void Wait(std::vector<PartitionId> needed, Cancelled cancelled, size_t bytes, Go go);

  // --- Home ---
  void SetWhole(PartitionId id);
  void Stop();
  bool idle() const { return waiting_.empty(); }

 private:
  struct Waiting {
    std::vector<PartitionId> needed;
    Cancelled cancelled;
    size_t bytes = 0;
    Go go;
    absl::Duration deadline;
  };
  using Queue = std::list<Waiting>;

  void Enter(Waiting waiting);
  bool HasRoomFor(size_t bytes) const;
  void DropGone();
  void ArmTimer();
  void RefuseOverdue();
  // Takes it out of the queue and runs it.
  void Answer(Queue::iterator which, absl::Status status);

  Executor& home_;
  const Clock& clock_;
  const Limits limits_;
  std::vector<std::atomic<bool>> whole_;
  std::atomic<size_t> whole_count_{0};
  Queue waiting_;  // in the order of arrival, and so of deadlines
  size_t waiting_bytes_ = 0;
  bool timer_armed_ = false;
  TimerId timer_ = 0;
  bool stopped_ = false;
};

}  // namespace tidemark::partition
