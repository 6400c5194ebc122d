#include "src/server/transport/deadline_heap.h"

#include "src/base/check.h"

namespace tidemark::server {

DeadlineHeap::Entry::~Entry() {
  if (heap_ != nullptr) heap_->Remove(*this);
}

DeadlineHeap::~DeadlineHeap() { CHECK(slots_.empty()); }

void DeadlineHeap::Set(Entry& entry, absl::Duration when) {
  if (entry.heap_ != nullptr) {
    CHECK(entry.heap_ == this);
    Remove(entry);
  }
  if (when == absl::InfiniteDuration()) return;
  entry.heap_ = this;
  slots_.push_back({when, &entry});
  MoveUp(slots_.size() - 1);
}

absl::Duration DeadlineHeap::first() const {
  return slots_.empty() ? absl::InfiniteDuration() : slots_.front().when;
}

void DeadlineHeap::RunDue(absl::Duration now) {
  for (size_t left = slots_.size(); left > 0 && first() <= now; --left) {
    Entry* due = slots_.front().entry;
    Remove(*due);
    due->OnDeadline();
  }
}

void DeadlineHeap::Remove(Entry& entry) {
  const size_t place = entry.place_;
  const Slot last = slots_.back();
  slots_.pop_back();
  entry.heap_ = nullptr;
  if (last.entry == &entry) return;
  Put(place, last);
  MoveUp(place);
  MoveDown(last.entry->place_);
}

void DeadlineHeap::Put(size_t place, const Slot& slot) {
  slots_[place] = slot;
  slot.entry->place_ = place;
}

void DeadlineHeap::MoveUp(size_t place) {
  const Slot slot = slots_[place];
  while (place > 0) {
    const size_t above = (place - 1) / 2;
    if (slots_[above].when <= slot.when) break;
    Put(place, slots_[above]);
    place = above;
  }
  Put(place, slot);
}

void DeadlineHeap::MoveDown(size_t place) {
  const Slot slot = slots_[place];
  while (true) {
    size_t child = 2 * place + 1;
    if (child >= slots_.size()) break;
    const bool has_right = child + 1 < slots_.size();
    if (has_right && slots_[child + 1].when < slots_[child].when) ++child;
    if (slot.when <= slots_[child].when) break;
    Put(place, slots_[child]);
    place = child;
  }
  Put(place, slot);
}

}  // namespace tidemark::server
