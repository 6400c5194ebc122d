// Compactions from request to freed memory, and HashKV
// (docs/design-notes.md, "Finishing a compaction").
//
// Hides what has to wait for what: compactions are judged and appended one after another, and
// nothing else of a compaction holds anybody up who did not ask for `physical`.
// Sequence-bound to the coordinator's home. Everything here was entered into the coordinator by the
// caller; each request leaves when it is answered.
//
// Invariants:
//  1. What a compaction releases is removed only after the hash at its revision, unless
//  kStoredHashes
//     newer ones wait for theirs.
//  2. At most kStoredHashes hashes are remembered, the newest.
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "proto/rpc.pb.h"
#include "src/base/clock.h"
#include "src/partition/coordinator.h"
#include "src/partition/hash_walk.h"
#include "src/partition/removal_queue.h"
#include "src/partition/router.h"

namespace tidemark::partition {

class CompactionRunner {
 public:
  static constexpr size_t kStoredHashes = 10;

  struct Observers {
    std::function<void()> on_freed;  // after each removal
    // After each compaction that was not left to a newer one, with the time from its entry until
    // its memory was free. May be empty.
    std::function<void(absl::Duration)> on_compacted;
  };
  CompactionRunner(Coordinator& coordinator, Clock& clock, Observers observers)
      : coordinator_(coordinator),
        clock_(clock),
        observers_(std::move(observers)),
        removals_(coordinator.parts(), coordinator.home(), observers_.on_freed) {}

  void Compact(const etcdserverpb::CompactionRequest& request, ReplyCallback<Nothing> done);
  void HashKv(Revision revision, ReplyCallback<HashKvResult> done);
  void Defragment(ReplyCallback<Nothing> done);
  // After replay: removes what compactions in the journal released.
  void FinishReplayed();

 private:
  // One that is applied everywhere: its hash comes next, then its removal.
  struct Finishing {
    Revision revision;
    Revision former = mvcc::kNeverCompacted;
    bool needs_hash = true;
    bool is_awaited = false;
    Task done;
  };
  struct AskedHash {
    Revision revision;
    Task walked;
    ReplyCallback<HashKvResult> done;
  };

  void AppendNext();

  void JudgeCompaction(Revision revision, bool physical, ReplyCallback<Nothing> done,
                       absl::StatusOr<journal::Tail> tail);
  void Refuse(absl::Status refusal, bool physical, ReplyCallback<Nothing> done);
  void OnCompacted(Revision revision, Revision former, bool physical, ReplyCallback<Nothing> done,
                   absl::StatusOr<journal::Placed> placed);
  void Finish(Finishing compaction);
  // Once everything that was compacted before is gone.
  void RemoveBehind(Task done);
  void LimitFinishing();
  void HashNext();
  void PassOn();
  void JudgeHash(AskedHash asked, absl::StatusOr<journal::Tail> tail);
  bool IsToBeHashed(Revision revision) const;
  bool IsAwaited() const;
  void AwaitHash(AskedHash asked);
  void AskAgain();
  void WalkFor(AskedHash asked, HashWalkSpec spec, Revision current);
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
  RemovalQueue removals_;
  bool appending_ = false;
  std::deque<absl::AnyInvocable<void()>> to_append_;
  std::optional<Revision> appended_;  // perhaps applied by some partitions, not known as placed
  std::deque<Finishing> finishing_;   // the first is being hashed, when hashing_
  bool hashing_ = false;
  std::deque<HashKvResult> hashes_;
  // Of a compaction that is to be hashed.
  std::vector<std::pair<Revision, ReplyCallback<HashKvResult>>> awaiting_hash_;
};

}  // namespace tidemark::partition
