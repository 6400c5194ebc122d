#include "src/journal/delivery.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "src/base/check.h"

namespace tidemark::journal {

void Delivery::Attach(std::shared_ptr<Subscriber> subscriber) {
  if (subscriber->next() == tail_.position.Next()) subscriber->DeliverTail(tail_);
  subscribers_.push_back(std::move(subscriber));
  ServeAll();
}

void Delivery::OnCommit(std::shared_ptr<const EntryBlock> block) {
  CHECK(block->entries.front().position == tail_.position.Next());
  CHECK(block->tail.revision >= tail_.revision && block->tail.term >= tail_.term);
  tail_ = block->tail;
  recent_bytes_ += block->memory_bytes();
  recent_.push_back(std::move(block));
  while (recent_.size() > 1 && recent_bytes_ > limits_.recent_bytes_max) {
    recent_bytes_ -= recent_.front()->memory_bytes();
    recent_.pop_front();
  }
  ServeAll();
}

void Delivery::OnRead(std::vector<std::shared_ptr<const EntryBlock>> blocks) {
  CHECK(reads_from_.has_value());
  reads_from_.reset();
  piece_.assign(blocks.begin(), blocks.end());
  CHECK(piece_.empty() || piece_.back()->tail.position <= tail_.position);
  ServeAll();
}

void Delivery::ServeAll() {
  std::optional<Position> read_from;
  bool has_waiting = false;
  for (const std::shared_ptr<Subscriber>& subscriber : subscribers_) {
    if (Serve(*subscriber)) continue;
    has_waiting = true;
    read_from = std::min(read_from.value_or(subscriber->next()), subscriber->next());
  }
  std::erase_if(subscribers_, [](const auto& subscriber) { return subscriber->IsClosed(); });
  if (!has_waiting) {
    if (!reads_from_) piece_.clear();
    return;
  }
  if (reads_from_) return;
  reads_from_ = read_from;
  start_read_(*read_from, limits_.batch_bytes_max);
}

bool Delivery::IsPast(Position position) const {
  if (reads_from_ && *reads_from_ <= position) return false;  // what it reads must stay
  return std::all_of(subscribers_.begin(), subscribers_.end(), [&](const auto& subscriber) {
    return subscriber->IsClosed() || subscriber->next() > position;
  });
}

bool Delivery::Serve(Subscriber& subscriber) {
  while (!subscriber.IsClosed() && subscriber.HasRoom() && subscriber.next() <= tail_.position) {
    if (!DeliverFrom(recent_, subscriber) && !DeliverFrom(piece_, subscriber)) return false;
  }
  return true;
}

// One batch from contiguous `blocks`, if the next position is among them.
bool Delivery::DeliverFrom(const Blocks& blocks, Subscriber& subscriber) {
  auto first = std::partition_point(blocks.begin(), blocks.end(), [&](const auto& block) {
    return block->tail.position < subscriber.next();
  });
  if (first == blocks.end() || (*first)->entries.front().position > subscriber.next()) return false;
  std::vector<std::shared_ptr<const EntryBlock>> batch;
  uint64_t batch_bytes = 0;
  for (auto block = first; block != blocks.end(); ++block) {
    if (!batch.empty() && batch_bytes >= limits_.batch_bytes_max) break;
    batch_bytes += (*block)->memory_bytes();
    batch.push_back(*block);
  }
  subscriber.Deliver(batch);
  return true;
}

}  // namespace tidemark::journal
