#include "src/partition/compaction.h"

#include <utility>

#include "src/base/check.h"
#include "src/base/failpoint.h"
#include "src/base/log.h"
#include "src/kvstore/effects.h"
#include "src/kvstore/etcd_errors.h"
#include "src/partition/hash_walk.h"

namespace tidemark::partition {
namespace {

constexpr int kWalkRestPercent = 100;  // nobody waits for the hash of a compaction

}  // namespace

void CompactionRunner::Compact(const etcdserverpb::CompactionRequest& request,
                               ReplyCallback<Nothing> done) {
  to_append_.push_back([this, revision = Revision(request.revision()),
                        physical = request.physical(), done = std::move(done)]() mutable {
    coordinator_.Barrier([this, revision, physical,
                          done = std::move(done)](absl::StatusOr<journal::Tail> tail) mutable {
      JudgeCompaction(revision, physical, std::move(done), std::move(tail));
    });
  });
  if (!appending_) AppendNext();
}

void CompactionRunner::AppendNext() {
  appending_ = !to_append_.empty();
  if (!appending_) return;
  auto compaction = std::move(to_append_.front());
  to_append_.pop_front();
  compaction();
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
    Refuse(std::move(refusal), physical, std::move(done));
    return AppendNext();
  }
  kvstore::EffectsWriter effects;
  effects.AddCompaction(revision);
  coordinator_.AppendNodeEffects(
      coordinator_.parts().ids(), std::move(effects),
      [this, revision, former, physical,
       done = std::move(done)](absl::StatusOr<journal::Placed> placed) mutable {
        OnCompacted(revision, former, physical, std::move(done), std::move(placed));
        AppendNext();
      });
}

// A physical compaction of what is compacted already waits for the run that did it (contract 2.8).
void CompactionRunner::Refuse(absl::Status refusal, bool physical, ReplyCallback<Nothing> done) {
  if (!physical || refusal != kvstore::ErrCompacted()) {
    return Answer<Nothing>(std::move(done), std::move(refusal));
  }
  removals_.Add({.up_to = mvcc::kNeverCompacted,
                 .done = [this, refusal = std::move(refusal), done = std::move(done)]() mutable {
                   Answer<Nothing>(std::move(done), std::move(refusal));
                 }});
}

void CompactionRunner::OnCompacted(Revision revision, Revision former, bool physical,
                                   ReplyCallback<Nothing> done,
                                   absl::StatusOr<journal::Placed> placed) {
  if (!placed.ok()) return Answer<Nothing>(std::move(done), AppendRefusal(placed.status()));
  const kvstore::Reply<Nothing> reply{placed->revision, {}};
  if (!physical) Answer<Nothing>(std::exchange(done, nullptr), reply);
  FAIL_POINT("partition.compacted");
  WalkAndRemove(
      revision, former, physical,
      [this, start = clock_.Monotonic(), revision, reply, done = std::move(done)]() mutable {
        if (observers_.on_compacted) observers_.on_compacted(clock_.Monotonic() - start);
        TLOG(kInfo, "finished scheduled compaction", {{"compact-revision", revision.value()}});
        if (done != nullptr) Answer<Nothing>(std::move(done), reply);
      });
}

void CompactionRunner::WalkAndRemove(Revision revision, Revision former, bool is_awaited,
                                     Task done) {
  HashWalkSpec spec;
  spec.at = revision;
  spec.compacted = former;
  spec.rest_percent = kWalkRestPercent;
  removals_.Add({.up_to = revision,
                 .before =
                     [this, spec](Task walked) {
                       RunHashWalk(coordinator_.parts(), coordinator_.home(), clock_, spec,
                                   [this, spec, walked = std::move(walked)](uint32_t hash) mutable {
                                     hashes_.push_back({hash, spec.compacted, spec.at});
                                     if (hashes_.size() > kStoredHashes) hashes_.pop_front();
                                     walked();
                                   });
                     },
                 .done = std::move(done),
                 .is_awaited = is_awaited});
}

void CompactionRunner::FinishReplayed() {
  removals_.Add(
      {.up_to = CompactRevision(), .done = [] {}, .pace = kvstore::Replica::Pace::kHurry});
}

void CompactionRunner::Defragment(ReplyCallback<Nothing> done) {
  TLOG(kInfo, "starting defragment");
  removals_.Add({.up_to = mvcc::kNeverCompacted,
                 .done =
                     [this, done = std::move(done)]() mutable {
                       TLOG(kInfo, "finished defragment");
                       const Revision current = coordinator_.KnownTail().revision;
                       Answer<Nothing>(std::move(done), kvstore::Reply<Nothing>{current, {}});
                     },
                 .pace = kvstore::Replica::Pace::kHurry});
}

void CompactionRunner::HashKv(Revision revision, ReplyCallback<HashKvResult> done) {
  removals_.Walk([this, revision, done = std::move(done)](Task walked) mutable {
    coordinator_.Barrier([this, revision, walked = std::move(walked),
                          done = std::move(done)](absl::StatusOr<journal::Tail> tail) mutable {
      JudgeHash(revision, std::move(walked), std::move(done), std::move(tail));
    });
  });
}

void CompactionRunner::JudgeHash(Revision revision, Task walked, ReplyCallback<HashKvResult> done,
                                 absl::StatusOr<journal::Tail> tail) {
  const auto answer = [&](absl::StatusOr<kvstore::Reply<HashKvResult>> reply) {
    Answer<HashKvResult>(std::move(done), std::move(reply));
    walked();
  };
  if (!tail.ok()) return answer(kvstore::ErrTimeout());
  // What this process has applied may be ahead of what was confirmed.
  const journal::Tail known = coordinator_.KnownTail();
  if (known.position > tail->position) tail = known;
  // As asked for, so 0 is not the current one; and before anything is refused.
  for (const HashKvResult& stored : hashes_) {
    if (stored.hash_revision != revision) continue;
    return answer(kvstore::Reply<HashKvResult>{tail->revision, stored});
  }
  const Revision compacted = CompactRevision();
  const Revision at = revision.value() == 0 ? tail->revision : revision;
  // A negative one has no changes, and is not refused either.
  if (at >= Revision(0) && at < compacted) return answer(kvstore::ErrCompacted());
  if (at > tail->revision) return answer(kvstore::ErrFutureRevision());
  HashWalkSpec spec;
  spec.at = at;
  spec.compacted = compacted;
  AskAll<bool>(
      coordinator_.parts(), coordinator_.parts().ids(), coordinator_.home(),
      [position = tail->position](kvstore::Replica& replica, size_t,
                                  absl::AnyInvocable<void(bool)> applied) {
        replica.WhenApplied(
            position, [applied = std::move(applied)](journal::Tail) mutable { applied(true); });
      },
      [this, spec, current = tail->revision, walked = std::move(walked),
       done = std::move(done)](std::vector<bool>) mutable {
        RunHashWalk(
            coordinator_.parts(), coordinator_.home(), clock_, spec,
            [this, spec, current, walked = std::move(walked),
             done = std::move(done)](uint32_t hash) mutable {
              const HashKvResult result{hash, spec.compacted, spec.at};
              Answer<HashKvResult>(std::move(done), kvstore::Reply<HashKvResult>{current, result});
              walked();
            });
      });
}

}  // namespace tidemark::partition
