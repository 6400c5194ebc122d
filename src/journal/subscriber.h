// One subscription's place in the journal and what it has not acknowledged yet.
//
// Thread-safe where said; the rest belongs to the journal's sequence.
//
// Invariants:
//  1. Batches are handed over in order, without holes among the asked partitions, and none after
//     Close returned.
//  2. HasRoom is false while more than the allowed bytes are unacknowledged.
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "src/base/mutex.h"
#include "src/journal/entry_codec.h"
#include "src/journal/journal.h"

namespace tidemark::journal {

class Subscriber {
 public:
  Subscriber(Position from, std::vector<PartitionId> partitions, uint64_t unacknowledged_bytes_max,
             BatchCallback deliver);

  // Any thread. Acknowledge: true when this made room where there was none.
  bool Acknowledge(Position position);
  void Close();
  bool IsClosed() const;
  bool HasRoom() const;

  // Journal's sequence.
  Position next() const { return next_; }
  // Hands over what these contiguous blocks (the first holds next()) have for it, and moves next().
  void Deliver(absl::Span<const std::shared_ptr<const EntryBlock>> blocks);
  // An empty batch that only tells the tail. REQUIRES tail.position == next() - 1.
  void DeliverTail(const Tail& tail);

 private:
  struct Outstanding {
    Position last;
    uint64_t bytes = 0;
  };

  bool Wants(const Entry& entry) const;
  void HandOver(std::shared_ptr<const Batch> batch);

  const std::vector<PartitionId> partitions_;  // sorted
  const uint64_t unacknowledged_bytes_max_;
  Position next_;

  mutable Mutex mutex_;
  std::deque<Outstanding> outstanding_ ABSL_GUARDED_BY(mutex_);
  uint64_t outstanding_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool is_closed_ ABSL_GUARDED_BY(mutex_) = false;

  Mutex running_;  // held during a callback
  BatchCallback deliver_ ABSL_GUARDED_BY(running_);
};

}  // namespace tidemark::journal
