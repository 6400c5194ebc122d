#include "src/partition/compaction.h"

#include <utility>

#include "src/base/check.h"
#include "src/base/failpoint.h"
#include "src/base/log.h"
#include "src/kvstore/effects.h"
#include "src/kvstore/etcd_errors.h"
#include "src/partition/hash_walk.h"

namespace tidemark::partition {

void CompactionRunner::Enqueue(Item item) {
  queue_.push_back(std::move(item));
  if (!busy_) Next();
}

void CompactionRunner::Next() {
  busy_ = !queue_.empty();
  if (!busy_) return;
  Item item = std::move(queue_.front());
  queue_.pop_front();
  item();
}

// The queue is also what makes a physical compaction that was compacted already wait for the run
// that did it (contract 2.8).
void CompactionRunner::Compact(const etcdserverpb::CompactionRequest& request,
                               ReplyCallback<Nothing> done) {
  Enqueue([this, revision = Revision(request.revision()), physical = request.physical(),
           done = std::move(done)]() mutable {
    coordinator_.Barrier([this, revision, physical,
                          done = std::move(done)](absl::StatusOr<journal::Tail> tail) mutable {
      JudgeCompaction(revision, physical, std::move(done), std::move(tail));
    });
  });
}

void CompactionRunner::JudgeCompaction(Revision revision, bool physical,
                                       ReplyCallback<Nothing> done,
                                       absl::StatusOr<journal::Tail> tail) {
  const Revision former = CompactRevision();
  absl::Status refusal;
  if (!tail.ok()) {
    refusal = kvstore::ErrTimeout();
  } else if (revision <= former) {
    refusal = kvstore::ErrCompacted();
  } else if (revision > tail->revision) {
    refusal = kvstore::ErrFutureRevision();
  }
  if (!refusal.ok()) {
    Answer<Nothing>(std::move(done), std::move(refusal));
    return Next();
  }
  kvstore::EffectsWriter effects;
  effects.AddCompaction(revision);
  coordinator_.AppendNodeEffects(
      coordinator_.parts().ids(), std::move(effects),
      [this, revision, former, physical,
       done = std::move(done)](absl::StatusOr<journal::Placed> placed) mutable {
        OnCompacted(revision, former, physical, std::move(done), std::move(placed));
      });
}

void CompactionRunner::OnCompacted(Revision revision, Revision former, bool physical,
                                   ReplyCallback<Nothing> done,
                                   absl::StatusOr<journal::Placed> placed) {
  if (!placed.ok()) {
    Answer<Nothing>(std::move(done), AppendRefusal(placed.status()));
    return Next();
  }
  const kvstore::Reply<Nothing> reply{placed->revision, {}};
  if (!physical) Answer<Nothing>(std::exchange(done, nullptr), reply);
  FAIL_POINT("partition.compacted");
  const absl::Duration start = clock_.Monotonic();
  HashWalkSpec spec;
  spec.at = revision;
  spec.compacted = former;
  RunHashWalk(
      coordinator_.parts(), coordinator_.home(), spec,
      [this, start, revision, former, reply, done = std::move(done)](uint32_t hash) mutable {
        hashes_.push_back({hash, former, revision});
        if (hashes_.size() > kStoredHashes) hashes_.pop_front();
        Remove([this, start, revision, reply, done = std::move(done)]() mutable {
          if (observers_.on_compacted) observers_.on_compacted(clock_.Monotonic() - start);
          TLOG(kInfo, "finished scheduled compaction", {{"compact-revision", revision.value()}});
          if (done != nullptr) Answer<Nothing>(std::move(done), reply);
          Next();
        });
      });
}

void CompactionRunner::Remove(absl::AnyInvocable<void()> done) {
  AskAll<bool>(
      coordinator_.parts(), coordinator_.parts().ids(), coordinator_.home(),
      [](kvstore::Replica& replica, size_t, absl::AnyInvocable<void(bool)> answer) {
        replica.RunCompaction([answer = std::move(answer)]() mutable { answer(true); });
      },
      [this, done = std::move(done)](std::vector<bool>) mutable {
        observers_.on_freed();
        done();
      });
}

void CompactionRunner::FinishReplayed() {
  Enqueue([this] { Remove([this] { Next(); }); });
}

void CompactionRunner::Defragment(ReplyCallback<Nothing> done) {
  Enqueue([this, done = std::move(done)]() mutable {
    TLOG(kInfo, "starting defragment");
    Remove([this, done = std::move(done)]() mutable {
      TLOG(kInfo, "finished defragment");
      const Revision current = coordinator_.KnownTail().revision;
      Answer<Nothing>(std::move(done), kvstore::Reply<Nothing>{current, {}});
      Next();
    });
  });
}

void CompactionRunner::HashKv(Revision revision, ReplyCallback<HashKvResult> done) {
  Enqueue([this, revision, done = std::move(done)]() mutable {
    coordinator_.Barrier(
        [this, revision, done = std::move(done)](absl::StatusOr<journal::Tail> tail) mutable {
          JudgeHash(revision, std::move(done), std::move(tail));
        });
  });
}

void CompactionRunner::JudgeHash(Revision revision, ReplyCallback<HashKvResult> done,
                                 absl::StatusOr<journal::Tail> tail) {
  const auto refuse = [&](absl::Status status) {
    Answer<HashKvResult>(std::move(done), std::move(status));
    Next();
  };
  if (!tail.ok()) return refuse(kvstore::ErrTimeout());
  // As asked for, so 0 is not the current one; and before anything is refused.
  for (const HashKvResult& stored : hashes_) {
    if (stored.hash_revision != revision) continue;
    Answer<HashKvResult>(std::move(done), kvstore::Reply<HashKvResult>{tail->revision, stored});
    return Next();
  }
  const Revision compacted = CompactRevision();
  const Revision at = revision.value() == 0 ? tail->revision : revision;
  // A negative one has no changes, and is not refused either.
  if (at >= Revision(0) && at < compacted) return refuse(kvstore::ErrCompacted());
  if (at > tail->revision) return refuse(kvstore::ErrFutureRevision());
  AskAll<bool>(
      coordinator_.parts(), coordinator_.parts().ids(), coordinator_.home(),
      [position = tail->position](kvstore::Replica& replica, size_t,
                                  absl::AnyInvocable<void(bool)> answer) {
        replica.WhenApplied(position,
                            [answer = std::move(answer)](journal::Tail) mutable { answer(true); });
      },
      [this, at, compacted, current = tail->revision,
       done = std::move(done)](std::vector<bool>) mutable {
        HashWalkSpec spec;
        spec.at = at;
        spec.compacted = compacted;
        RunHashWalk(
            coordinator_.parts(), coordinator_.home(), spec,
            [this, at, compacted, current, done = std::move(done)](uint32_t hash) mutable {
              const HashKvResult result{hash, compacted, at};
              Answer<HashKvResult>(std::move(done), kvstore::Reply<HashKvResult>{current, result});
              Next();
            });
      });
}

}  // namespace tidemark::partition
