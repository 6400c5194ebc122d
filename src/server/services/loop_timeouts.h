// The time limit of unary calls: one list and at most one timer per event loop, so that a call
// costs two pointer changes.
//
// Bound to its loop. Entries leave the list by themselves when they are destroyed.
//
// Invariant: all entries have the same time limit, so the list is in order of deadlines.
#pragma once

#include "absl/time/time.h"
#include "src/base/clock.h"
#include "src/base/executor.h"

namespace tidemark::server {

class LoopTimeouts {
 public:
  class Entry {
   public:
    Entry() = default;
    Entry(const Entry&) = delete;
    virtual ~Entry() { Leave(); }

   protected:
    virtual void OnTimeout() = 0;
    void Leave();

   private:
    friend class LoopTimeouts;
    LoopTimeouts* list_ = nullptr;
    Entry* previous_ = nullptr;
    Entry* next_ = nullptr;
    absl::Duration deadline_;
  };

  LoopTimeouts(Executor& loop, Clock& clock, absl::Duration limit)
      : loop_(loop), clock_(clock), limit_(limit) {}

  // REQUIRES that the entry is in no list. `now` is the clock's time.
  void Add(Entry& entry, absl::Duration now);

 private:
  void Arm();
  void Sweep();

  Executor& loop_;
  Clock& clock_;
  const absl::Duration limit_;
  Entry* first_ = nullptr;
  Entry* last_ = nullptr;
  bool armed_ = false;
};

}  // namespace tidemark::server
