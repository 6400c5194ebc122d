// When the versions that compactions let go of may go (docs/design-notes.md, "Finishing a
// compaction").
//
// Hides how removals and walks for hashes keep out of each other's way. A removal takes nothing
// that a walk begun after it reads, so a walk never waits for a running one, however long that
// takes; it only lets one begin that was there first.
// Sequence-bound to `home`.
//
// Invariants:
//  1. One removal at a time; their bounds never fall.
//  2. No removal begins while a walk is under way.
//  3. Of removals that nobody waits for, at most kWaitingMax wait: the oldest are left to later
//  ones.
#pragma once

#include <deque>
#include <functional>

#include "absl/functional/any_invocable.h"
#include "src/base/executor.h"
#include "src/base/ids.h"
#include "src/mvcc/version_store.h"
#include "src/partition/parts.h"

namespace tidemark::partition {

class RemovalQueue {
 public:
  static constexpr size_t kWaitingMax = 10;

  // `on_freed` is called after each removal.
  RemovalQueue(const Parts& parts, Executor& home, std::function<void()> on_freed)
      : parts_(parts), home_(home), on_freed_(std::move(on_freed)) {}

  struct Removal {
    // Below it, every partition has applied a compaction. kNeverCompacted: what was let go before.
    Revision up_to;
    // Runs before, when the removals in front have ended, and calls its argument. May be empty.
    absl::AnyInvocable<void(Task)> before;
    absl::AnyInvocable<void()> done;
    bool is_awaited = true;
    kvstore::Replica::Pace pace = kvstore::Replica::Pace::kBesideOthers;
  };
  void Add(Removal removal);

  // `walk` may read what no compaction applied by then lets go of, until it calls its argument.
  void Walk(absl::AnyInvocable<void(Task)> walk);

 private:
  void LimitWaiting();
  void Next();
  void Begin();
  void Remove();
  void OnWalked();

  const Parts& parts_;
  Executor& home_;
  const std::function<void()> on_freed_;
  std::deque<Removal> waiting_;
  Removal current_;
  enum class State { kIdle, kPreparing, kAwaitingWalks, kRemoving };
  State state_ = State::kIdle;
  Revision bound_ = mvcc::kNeverCompacted;
  size_t walks_ = 0;
  std::deque<absl::AnyInvocable<void(Task)>> waiting_walks_;  // for a removal to begin
};

}  // namespace tidemark::partition
