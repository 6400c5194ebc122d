// Deadlines of what belongs to one loop: nearly all are taken back, so both must cost little.
//
// Hides an indexed binary heap: no allocation and no lock for a deadline. Bound to its loop.
//
// 1. An entry is in at most one heap, once, and leaves it by itself when it is destroyed.
// 2. An entry has left the heap when its OnDeadline is called, and may be set again there.
#pragma once

#include <cstddef>
#include <vector>

#include "absl/time/time.h"

namespace tidemark::server {

class DeadlineHeap {
 public:
  class Entry {
   public:
    Entry() = default;
    Entry(const Entry&) = delete;
    virtual ~Entry();

   protected:
    virtual void OnDeadline() = 0;

   private:
    friend class DeadlineHeap;
    DeadlineHeap* heap_ = nullptr;
    size_t place_ = 0;
  };

  DeadlineHeap() = default;
  DeadlineHeap(const DeadlineHeap&) = delete;
  ~DeadlineHeap();  // REQUIRES: it is empty

  // In place of the entry's deadline before, if it had one. InfiniteDuration only takes that back.
  void Set(Entry& entry, absl::Duration when);
  // InfiniteDuration when there is none.
  absl::Duration first() const;
  // Calls those due at `now`, earliest first; at most as many as there were at the beginning.
  void RunDue(absl::Duration now);
  size_t size() const { return slots_.size(); }

 private:
  // With its deadline beside it, so that finding a place looks at no entry.
  struct Slot {
    absl::Duration when;
    Entry* entry;
  };
  void Remove(Entry& entry);
  void Put(size_t place, const Slot& slot);
  void MoveUp(size_t place);
  void MoveDown(size_t place);

  std::vector<Slot> slots_;
};

}  // namespace tidemark::server
