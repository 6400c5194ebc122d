#include "src/partition/compaction.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "src/base/check.h"
#include "src/base/failpoint.h"
#include "src/base/log.h"
#include "src/kvstore/effects.h"
#include "src/kvstore/etcd_errors.h"

namespace tidemark::partition {

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
  appended_ = revision;
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
  RemoveBehind([this, refusal = std::move(refusal), done = std::move(done)]() mutable {
    Answer<Nothing>(std::move(done), std::move(refusal));
  });
}

void CompactionRunner::OnCompacted(Revision revision, Revision former, bool physical,
                                   ReplyCallback<Nothing> done,
                                   absl::StatusOr<journal::Placed> placed) {
  appended_.reset();
  if (!placed.ok()) {
    AskAgain();
    return Answer<Nothing>(std::move(done), AppendRefusal(placed.status()));
  }
  const kvstore::Reply<Nothing> reply{placed->revision, {}};
  if (!physical) Answer<Nothing>(std::exchange(done, nullptr), reply);
  FAIL_POINT("partition.compacted");
  Finish({.revision = revision,
          .former = former,
          .is_awaited = physical,
          .done = [this, start = clock_.Monotonic(), revision, reply,
                   done = std::move(done)]() mutable {
            if (observers_.on_compacted) observers_.on_compacted(clock_.Monotonic() - start);
            TLOG(kInfo, "finished scheduled compaction", {{"compact-revision", revision.value()}});
            if (done != nullptr) Answer<Nothing>(std::move(done), reply);
          }});
}

void CompactionRunner::Finish(Finishing compaction) {
  finishing_.push_back(std::move(compaction));
  LimitFinishing();
  if (!hashing_) HashNext();
}

// Whose hash would be forgotten by then is left to the one behind it.
void CompactionRunner::LimitFinishing() {
  const auto waiting = finishing_.begin() + (hashing_ ? 1 : 0);
  const auto is_free = [](const Finishing& item) { return !item.is_awaited; };
  if (std::count_if(waiting, finishing_.end(), is_free) <= static_cast<int>(kStoredHashes)) return;
  const auto oldest = std::find_if(waiting, finishing_.end(), is_free);
  const auto behind = std::next(oldest);
  behind->revision = std::max(behind->revision, oldest->revision);
  finishing_.erase(oldest);
}

void CompactionRunner::HashNext() {
  while (!finishing_.empty() && !finishing_.front().needs_hash) PassOn();
  hashing_ = !finishing_.empty();
  if (!hashing_) return;
  const Finishing& next = finishing_.front();
  HashWalkSpec spec;
  spec.at = next.revision;
  spec.compacted = next.former;
  const auto rest_percent = [this] { return IsAwaited() ? 0 : kvstore::kCompactionRestPercent; };
  RunHashWalk(coordinator_.parts(), coordinator_.home(), clock_, spec, rest_percent,
              [this, spec](uint32_t hash) {
                hashes_.push_back({hash, spec.compacted, spec.at});
                if (hashes_.size() > kStoredHashes) hashes_.pop_front();
                PassOn();
                HashNext();
                AskAgain();
              });
}

// Somebody who came meanwhile counts as well.
bool CompactionRunner::IsAwaited() const {
  return !awaiting_hash_.empty() ||
         std::any_of(finishing_.begin(), finishing_.end(),
                     [](const Finishing& item) { return item.is_awaited; });
}

void CompactionRunner::PassOn() {
  Finishing hashed = std::move(finishing_.front());
  finishing_.pop_front();
  using Pace = RemovalQueue::Pace;
  removals_.Add(hashed.revision, hashed.is_awaited ? Pace::kHurry : Pace::kBesideOthers,
                hashed.is_awaited, std::move(hashed.done));
}

void CompactionRunner::FinishReplayed() {
  removals_.Add(CompactRevision(), RemovalQueue::Pace::kHurry, /*is_awaited=*/true, [] {});
}

void CompactionRunner::Defragment(ReplyCallback<Nothing> done) {
  TLOG(kInfo, "starting defragment");
  RemoveBehind([this, done = std::move(done)]() mutable {
    TLOG(kInfo, "finished defragment");
    const Revision current = coordinator_.KnownTail().revision;
    Answer<Nothing>(std::move(done), kvstore::Reply<Nothing>{current, {}});
  });
}

void CompactionRunner::RemoveBehind(Task done) {
  Finish({.revision = mvcc::kNeverCompacted,
          .needs_hash = false,
          .is_awaited = true,
          .done = std::move(done)});
}

void CompactionRunner::HashKv(Revision revision, ReplyCallback<HashKvResult> done) {
  removals_.Walk([this, revision, done = std::move(done)](Task walked) mutable {
    coordinator_.Barrier([this, asked = AskedHash{revision, std::move(walked), std::move(done)}](
                             absl::StatusOr<journal::Tail> tail) mutable {
      JudgeHash(std::move(asked), std::move(tail));
    });
  });
}

// Comes back when there is one more; others may walk meanwhile.
void CompactionRunner::AwaitHash(AskedHash asked) {
  awaiting_hash_.emplace_back(asked.revision, std::move(asked.done));
  asked.walked();
}

void CompactionRunner::AskAgain() {
  for (auto& [revision, done] : std::exchange(awaiting_hash_, {})) {
    HashKv(revision, std::move(done));
  }
}

bool CompactionRunner::IsToBeHashed(Revision revision) const {
  return appended_ == revision ||
         std::any_of(finishing_.begin(), finishing_.end(), [&](const Finishing& item) {
           return item.needs_hash && item.revision == revision;
         });
}

void CompactionRunner::JudgeHash(AskedHash asked, absl::StatusOr<journal::Tail> tail) {
  const auto answer = [&](absl::StatusOr<kvstore::Reply<HashKvResult>> reply) {
    Answer<HashKvResult>(std::move(asked.done), std::move(reply));
    asked.walked();
  };
  if (!tail.ok()) return answer(kvstore::ErrTimeout());
  // What this process has applied may be ahead of what was confirmed.
  const journal::Tail known = coordinator_.KnownTail();
  if (known.position > tail->position) tail = known;
  // As asked for, so 0 is not the current one; and before anything is refused.
  for (const HashKvResult& stored : hashes_) {
    if (stored.hash_revision != asked.revision) continue;
    return answer(kvstore::Reply<HashKvResult>{tail->revision, stored});
  }
  if (IsToBeHashed(asked.revision)) return AwaitHash(std::move(asked));
  const Revision compacted = CompactRevision();
  const Revision at = asked.revision.value() == 0 ? tail->revision : asked.revision;
  // A negative one has no changes, and is not refused either.
  if (at >= Revision(0) && at < compacted) return answer(kvstore::ErrCompacted());
  if (at > tail->revision) return answer(kvstore::ErrFutureRevision());
  HashWalkSpec spec;
  spec.at = at;
  spec.compacted = compacted;
  WhenAllApplied(coordinator_.parts(), coordinator_.parts().ids(), tail->position,
                 coordinator_.home(),
                 [this, spec, current = tail->revision, asked = std::move(asked)]() mutable {
                   WalkFor(std::move(asked), spec, current);
                 });
}

void CompactionRunner::WalkFor(AskedHash asked, HashWalkSpec spec, Revision current) {
  const auto rest_percent = [] { return 0; };
  RunHashWalk(
      coordinator_.parts(), coordinator_.home(), clock_, spec, rest_percent,
      [this, spec, current, asked = std::move(asked)](uint32_t hash) mutable {
        const HashKvResult result{hash, spec.compacted, spec.at};
        Answer<HashKvResult>(std::move(asked.done), kvstore::Reply<HashKvResult>{current, result});
        asked.walked();
      });
}

}  // namespace tidemark::partition
