// Puts the events of one watch over several partitions back into revision order.
//
// Hides buffering and regrouping. Each part delivers whole revisions in order and tells its floor:
// everything at or below it was delivered. What lies at or below the smallest floor can be
// released. Sequence-bound, no I/O.
//
// Invariants:
//  1. Released groups are in (main, sub) order; one revision is in one group (W: Order, Atomicity).
//  2. Nothing above the smallest floor is released.
#pragma once

#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "src/base/ids.h"
#include "src/mvcc/watch_set.h"

namespace tidemark::partition {

class WatchMerge {
 public:
  struct Group {
    mvcc::EventBatchPtr batch;
    Revision header_revision{0};
    // (part, bytes) of delivered batches that are used up now.
    std::vector<std::pair<size_t, size_t>> used;
  };

  WatchMerge(size_t parts, Revision start, bool with_prev_kv)
      : parts_(parts), with_prev_kv_(with_prev_kv) {
    for (Part& part : parts_) part.floor = start.Previous();
  }

  void OnEvents(size_t part, mvcc::EventBatchPtr batch, Revision header_revision);
  void OnFloor(size_t part, Revision floor);
  // The next group that may go out: a live revision alone, history up to max_revisions at once.
  std::optional<Group> Next();
  bool HasNext() const;
  // Everything at or below was released.
  Revision released() const;

 private:
  static constexpr int64_t kMaxRevisionsPerGroup = 1000;
  static constexpr size_t kMaxBytesPerGroup = 1 << 20;

  struct Delivered {
    mvcc::EventBatchPtr batch;
    Revision header_revision{0};
    size_t next = 0;  // first event not released

    Revision revision() const { return batch->events()[next].revision.main; }
    // Sent as it was committed: one revision that is its own header.
    bool live() const {
      return batch->events().front().revision.main == header_revision &&
             batch->events().back().revision.main == header_revision;
    }
  };
  struct Part {
    std::deque<Delivered> queue;
    Revision floor{0};
  };

  Revision Floor() const;
  Revision FirstBuffered() const;  // INT64_MAX: none
  bool IsLive(Revision revision) const;
  void TakeRevision(Revision revision, Group& group, std::vector<mvcc::Event>& events);

  std::vector<Part> parts_;
  const bool with_prev_kv_;
};

}  // namespace tidemark::partition
