#include "src/server/services/loop_timeouts.h"

#include "src/base/check.h"

namespace tidemark::server {

void LoopTimeouts::Entry::Leave() {
  if (list_ == nullptr) return;
  (previous_ == nullptr ? list_->first_ : previous_->next_) = next_;
  (next_ == nullptr ? list_->last_ : next_->previous_) = previous_;
  list_ = nullptr;
  previous_ = next_ = nullptr;
}

void LoopTimeouts::Add(Entry& entry, absl::Duration now) {
  CHECK(entry.list_ == nullptr);
  entry.list_ = this;
  entry.deadline_ = now + limit_;
  entry.previous_ = last_;
  (last_ == nullptr ? first_ : last_->next_) = &entry;
  last_ = &entry;
  Arm();
}

void LoopTimeouts::Arm() {
  if (armed_ || first_ == nullptr) return;
  armed_ = true;
  loop_.PostAt(first_->deadline_, [this] {
    armed_ = false;
    Sweep();
  });
}

void LoopTimeouts::Sweep() {
  absl::Duration now = clock_.Monotonic();
  while (first_ != nullptr && first_->deadline_ <= now) {
    Entry* due = first_;
    due->Leave();
    due->OnTimeout();
  }
  Arm();
}

}  // namespace tidemark::server
