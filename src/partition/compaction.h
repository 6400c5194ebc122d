// Compactions from request to freed memory, and HashKV
// (docs/design-notes.md, "Finishing a compaction").
//
// Hides the queue in which compactions, hashes and defragmentation wait for each other: a hash
// needs what the next removal would take away.
// Sequence-bound to the coordinator's home. Everything here was entered into the coordinator by the
// caller; each item leaves when it is answered.
//
// Invariants:
//  1. One item at a time is past its queue; removal starts only after the hash at its revision.
//  2. At most kStoredHashes hashes are remembered, the newest.
#pragma once

#include <deque>
#include <functional>
#include <optional>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "proto/rpc.pb.h"
#include "src/base/clock.h"
#include "src/partition/coordinator.h"
#include "src/partition/router.h"

namespace tidemark::partition {

class CompactionRunner {
 public:
  static constexpr size_t kStoredHashes = 10;

  struct Observers {
    std::function<void()> on_freed;  // after each removal
    // After each compaction, with the time from its entry until its memory was free. May be empty.
    std::function<void(absl::Duration)> on_compacted;
  };
  CompactionRunner(Coordinator& coordinator, Clock& clock, Observers observers)
      : coordinator_(coordinator), clock_(clock), observers_(std::move(observers)) {}

  void Compact(const etcdserverpb::CompactionRequest& request, ReplyCallback<Nothing> done);
  void HashKv(Revision revision, ReplyCallback<HashKvResult> done);
  void Defragment(ReplyCallback<Nothing> done);
  // After replay: removes what compactions in the journal released.
  void FinishReplayed();

 private:
  using Item = absl::AnyInvocable<void()>;

  void Enqueue(Item item);
  void Next();

  void JudgeCompaction(Revision revision, bool physical, ReplyCallback<Nothing> done,
                       absl::StatusOr<journal::Tail> tail);
  void OnCompacted(Revision revision, Revision former, bool physical, ReplyCallback<Nothing> done,
                   absl::StatusOr<journal::Placed> placed);
  void Remove(absl::AnyInvocable<void()> done);
  void JudgeHash(Revision revision, ReplyCallback<HashKvResult> done,
                 absl::StatusOr<journal::Tail> tail);
  Revision CompactRevision() const {
    return coordinator_.parts().system().store().compact_revision();
  }

  template <typename Result>
  void Answer(ReplyCallback<Result> done, absl::StatusOr<kvstore::Reply<Result>> reply) {
    coordinator_.Leave();
    done(std::move(reply));
  }

  Coordinator& coordinator_;
  Clock& clock_;
  const Observers observers_;
  bool busy_ = false;
  std::deque<Item> queue_;
  std::deque<HashKvResult> hashes_;
};

}  // namespace tidemark::partition
