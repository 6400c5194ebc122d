#include "src/server/transport/deadline_heap.h"

#include "src/base/check.h"

namespace tidemark::server {

DeadlineHeap::Entry::~Entry() {
  if (heap_ != nullptr) heap_->Remove(*this);
}

DeadlineHeap::~DeadlineHeap() { CHECK(entries_.empty()); }

void DeadlineHeap::Set(Entry& entry, absl::Duration when) {
  if (entry.heap_ != nullptr) {
    CHECK(entry.heap_ == this);
    Remove(entry);
  }
  if (when == absl::InfiniteDuration()) return;
  entry.heap_ = this;
  entry.when_ = when;
  Put(entries_.size(), &entry);
  MoveUp(&entry);
}

absl::Duration DeadlineHeap::first() const {
  return entries_.empty() ? absl::InfiniteDuration() : entries_.front()->when_;
}

void DeadlineHeap::RunDue(absl::Duration now) {
  for (size_t left = entries_.size(); left > 0 && first() <= now; --left) {
    Entry* due = entries_.front();
    Remove(*due);
    due->OnDeadline();
  }
}

void DeadlineHeap::Remove(Entry& entry) {
  Entry* last = entries_.back();
  const size_t place = entry.place_;
  entries_.pop_back();
  entry.heap_ = nullptr;
  if (last == &entry) return;
  Put(place, last);
  MoveUp(last);
  MoveDown(last);
}

void DeadlineHeap::Put(size_t place, Entry* entry) {
  if (place == entries_.size()) entries_.push_back(entry);
  entries_[place] = entry;
  entry->place_ = place;
}

void DeadlineHeap::MoveUp(Entry* entry) {
  size_t place = entry->place_;
  while (place > 0) {
    Entry* parent = entries_[(place - 1) / 2];
    if (parent->when_ <= entry->when_) break;
    const size_t above = parent->place_;
    Put(place, parent);
    place = above;
  }
  Put(place, entry);
}

void DeadlineHeap::MoveDown(Entry* entry) {
  size_t place = entry->place_;
  while (true) {
    size_t child = 2 * place + 1;
    if (child >= entries_.size()) break;
    const bool has_right = child + 1 < entries_.size();
    if (has_right && entries_[child + 1]->when_ < entries_[child]->when_) ++child;
    if (entry->when_ <= entries_[child]->when_) break;
    Put(place, entries_[child]);
    place = child;
  }
  Put(place, entry);
}

}  // namespace tidemark::server
