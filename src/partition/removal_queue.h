// When the versions that compactions let go of may go (docs/design-notes.md, "Finishing a
// compaction").
//
// Hides how removals and walks for hashes keep out of each other's way. A removal takes nothing
// that a walk begun after it reads, so a walk never waits for a running one, however long that
// takes; it only lets one begin that was there first.
// Sequence-bound to `home`.
//
// Invariants:
//  1. One removal runs at a time, and at most one waits: what comes meanwhile joins that one. Their
//     bounds never fall.
//  2. No removal begins while a walk is under way; at most kWalksMax are.
#pragma once

#include <deque>
#include <functional>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "src/base/executor.h"
#include "src/base/ids.h"
#include "src/mvcc/version_store.h"
#include "src/partition/parts.h"

namespace tidemark::partition {

class RemovalQueue {
 public:
  static constexpr size_t kWalksMax = 2;
  using Pace = kvstore::Replica::Pace;

  // `on_freed` is called after each removal.
  RemovalQueue(const Parts& parts, Executor& home, std::function<void()> on_freed)
      : parts_(parts), home_(home), on_freed_(std::move(on_freed)) {}

  // Below `up_to` every partition has applied a compaction, and its hash is there. kNeverCompacted:
  // what was let go before. `done` runs when all of it is gone, and everything added before; one
  // that is not awaited may be dropped where too many have joined.
  void Add(Revision up_to, Pace pace, bool is_awaited, Task done);

  // `walk` may read what no compaction applied by then lets go of, until it calls its argument.
  void Walk(absl::AnyInvocable<void(Task)> walk);

 private:
  static constexpr size_t kUnawaitedMax = 1000;
  struct Removal {
    Revision up_to = mvcc::kNeverCompacted;
    Pace pace = Pace::kBesideOthers;
    std::vector<Task> done;
  };
  enum class State { kIdle, kAwaitingWalks, kRemoving };

  void Next();
  void Remove();
  void OnRemoved();
  void Hurry();
  void BeginWalks();
  void OnWalked();

  const Parts& parts_;
  Executor& home_;
  const std::function<void()> on_freed_;
  State state_ = State::kIdle;
  Removal current_;
  Removal next_;  // `done` is empty: none
  Revision bound_ = mvcc::kNeverCompacted;
  size_t walks_ = 0;
  std::deque<absl::AnyInvocable<void(Task)>> waiting_walks_;
};

}  // namespace tidemark::partition
