#include "src/journal/subscriber.h"

#include <algorithm>
#include <utility>

#include "src/base/check.h"
#include "src/base/failpoint.h"

namespace tidemark::journal {
namespace {

std::vector<PartitionId> Sorted(std::vector<PartitionId> partitions) {
  std::sort(partitions.begin(), partitions.end());
  return partitions;
}

}  // namespace

Subscriber::Subscriber(Position from, std::vector<PartitionId> partitions,
                       uint64_t unacknowledged_bytes_max, BatchCallback deliver)
    : partitions_(Sorted(std::move(partitions))),
      unacknowledged_bytes_max_(unacknowledged_bytes_max),
      next_(from),
      deliver_(std::move(deliver)) {}

bool Subscriber::Acknowledge(Position position) {
  MutexLock lock(&mutex_);
  bool had_room = outstanding_bytes_ < unacknowledged_bytes_max_;
  while (!outstanding_.empty() && outstanding_.front().last <= position) {
    CHECK(outstanding_bytes_ >= outstanding_.front().bytes);
    outstanding_bytes_ -= outstanding_.front().bytes;
    outstanding_.pop_front();
  }
  return !had_room && outstanding_bytes_ < unacknowledged_bytes_max_ && !is_closed_;
}

void Subscriber::Close() {
  {
    MutexLock lock(&mutex_);
    is_closed_ = true;
  }
  MutexLock lock(&running_);  // waits for a callback that runs
  deliver_ = nullptr;
}

bool Subscriber::IsClosed() const {
  MutexLock lock(&mutex_);
  return is_closed_;
}

bool Subscriber::HasRoom() const {
  MutexLock lock(&mutex_);
  return outstanding_bytes_ < unacknowledged_bytes_max_;
}

bool Subscriber::Wants(const Entry& entry) const {
  for (const PartitionEpoch& named : entry.partitions) {
    if (std::binary_search(partitions_.begin(), partitions_.end(), named.partition)) return true;
  }
  return false;
}

void Subscriber::Deliver(absl::Span<const std::shared_ptr<const EntryBlock>> blocks) {
  CHECK(!blocks.empty());
  auto batch = std::make_shared<Batch>();
  uint64_t bytes = 0;
  for (const std::shared_ptr<const EntryBlock>& block : blocks) {
    CHECK(block->entries.front().position <= next_ && next_ <= block->tail.position);
    size_t before = batch->entries.size();
    for (const Entry& entry : block->entries) {
      if (entry.position < next_ || !Wants(entry)) continue;
      batch->entries.push_back(entry);
    }
    if (batch->entries.size() > before) {
      // One wanted entry keeps the whole block in memory.
      if (!PLANTED_BUG("journal_kept_blocks_are_not_counted")) bytes += block->memory_bytes();
      batch->owners.push_back(block);
    }
    next_ = block->tail.position.Next();
  }
  batch->tail = blocks.back()->tail;
  if (bytes > 0) {
    MutexLock lock(&mutex_);
    outstanding_.push_back({batch->entries.back().position, bytes});
    outstanding_bytes_ += bytes;
  }
  HandOver(std::move(batch));
}

void Subscriber::DeliverTail(const Tail& tail) {
  CHECK(tail.position.Next() == next_);
  auto batch = std::make_shared<Batch>();
  batch->tail = tail;
  HandOver(std::move(batch));
}

void Subscriber::HandOver(std::shared_ptr<const Batch> batch) {
  MutexLock lock(&running_);
  if (deliver_ && !IsClosed()) deliver_(std::move(batch));
}

}  // namespace tidemark::journal
