#include "src/kvstore/replica.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "src/base/check.h"
#include "src/base/log.h"
#include "src/base/post_after.h"
#include "src/kvstore/etcd_errors.h"
#include "src/kvstore/replica_impl.h"

namespace tidemark::kvstore {

std::unique_ptr<Replica> Replica::Create(ReplicaOptions options, Executor& executor, Clock& clock,
                                         journal::Journal& journal, MemoryMapper& memory,
                                         ApplyObserver* observer) {
  return std::make_unique<ReplicaImpl>(std::move(options), executor, clock, journal, memory,
                                       observer);
}

int64_t StoredBytes(absl::Span<const KeyChange> changes) {
  int64_t bytes = 0;
  for (const KeyChange& change : changes) {
    bytes += mvcc::SegmentRoom::RecordBytes(change.key.size(), change.value.size());
  }
  return bytes;
}

ReplicaImpl::ReplicaImpl(ReplicaOptions options, Executor& executor, Clock& clock,
                         journal::Journal& journal, MemoryMapper& memory, ApplyObserver* observer)
    : options_(std::move(options)),
      executor_(executor),
      clock_(clock),
      journal_(journal),
      alive_(std::make_shared<bool>(true)),
      store_(mvcc::VersionStore::Create(options_.store, memory)),
      watches_(mvcc::WatchSet::Create(*store_, options_.watch)),
      observer_(observer),
      applier_({options_.partition, *store_, *watches_, leases_, alarms_, observer}),
      barrier_(executor, journal) {
  CHECK(options_.step_keys > 0 && options_.max_pending_writes > 0);
  if (MemoryBudget* budget = options_.store.budget; budget != nullptr) {
    index_charge_ = MemoryCharge(*budget, MemoryAccount::kIndex);
  }
}

ReplicaImpl::~ReplicaImpl() = default;

void ReplicaImpl::PostToSelf(Task task, absl::Duration rest) {
  PostAfter(executor_, clock_, rest,
            [alive = std::weak_ptr<bool>(alive_), task = std::move(task)]() mutable {
              if (!alive.expired()) task();
            });
}

// --- Applying ---

void ReplicaImpl::Apply(const journal::Batch& batch) {
  CHECK(started_);
  const absl::Duration start = clock_.Monotonic();
  for (const journal::Entry& entry : batch.entries) {
    if (entry.position <= watermark_.position) continue;  // delivered again
    if (entry.revision > applier_.known()) AttachLeases();
    ApplyEntry(entry);
    watermark_ = {entry.position, entry.revision, entry.term};
  }
  if (batch.tail.position >= watermark_.position) watermark_ = batch.tail;
  if (watermark_.revision >= applier_.known()) {
    AttachLeases();
    store_->AdvanceTo(watermark_.revision);
  }
  // A replay's batches are large, and nobody waits for them.
  const absl::Duration took = clock_.Monotonic() - start;
  if (primary_ && took > options_.slow_apply) NoteSlowApply(took, batch.entries.size());
  AfterApply();
}

void ReplicaImpl::NoteSlowApply(absl::Duration took, size_t entry_count) {
  stats_.slow_applies_total.fetch_add(1, std::memory_order_relaxed);
  TLOG(kWarn, "apply request took too long",
       {{"took", took},
        {"expected-duration", options_.slow_apply},
        {"partition", options_.partition.value()},
        {"entries", entry_count}});
}

void ReplicaImpl::ApplyEntry(const journal::Entry& entry) {
  bool named = false;
  for (const journal::PartitionEpoch& pair : entry.partitions) {
    named = named || pair.partition == options_.partition;
  }
  switch (entry.kind) {
    case journal::EntryKind::kClaim:
      if (named) ApplyClaim(entry);
      return;
    case journal::EntryKind::kData:
      ApplyData(entry, named);
      return;
  }
  Fatal(absl::StrCat("journal entry ", entry.position.value(), " has an unknown kind"));
}

void ReplicaImpl::ApplyClaim(const journal::Entry& entry) {
  epoch_ = Epoch(entry.position.value());
  primary_ = entry.origin == options_.origin;
}

void ReplicaImpl::ApplyData(const journal::Entry& entry, bool named) {
  HoldState* hold = nullptr;
  if (!expected_.empty()) {
    auto it = expected_.find(EntryName(entry.origin, entry.origin_number));
    if (it != expected_.end()) hold = &FindHold(it->second);
  }
  std::vector<OpResult> results;
  if (named) {
    Write* write = entry.origin == options_.origin ? TakeAppended(entry) : nullptr;
    PlannedAnswer* answer =
        write != nullptr ? &write->answer : (hold != nullptr ? &hold->answer : nullptr);
    Applier::Outcome outcome = applier_.Apply(entry, answer);
    stats_.puts_total.fetch_add(outcome.puts, std::memory_order_relaxed);
    stats_.put_bytes_total.fetch_add(outcome.put_bytes, std::memory_order_relaxed);
    stats_.deletes_total.fetch_add(outcome.deletes, std::memory_order_relaxed);
    if (outcome.puts + outcome.deletes > 0) {
      stats_.events_total.fetch_add(outcome.puts + outcome.deletes, std::memory_order_relaxed);
    }
    if (outcome.compacted) KickWatches();  // those it overtook have to hear of it
    results = std::move(outcome.results);
    if (write != nullptr) {
      finished_.push_back({write, entry.revision, std::move(results)});
      return;
    }
  } else if (hold != nullptr) {
    // A part of the write without changes here: its reads belong to this place in the order.
    const Revision before = entry.changes_keys ? entry.revision.Previous() : entry.revision;
    results = Evaluator(*store_, leases_, before).ResultsWithoutChanges(std::move(hold->answer));
  }
  if (hold == nullptr) return;
  finished_holds_.push_back([done = std::move(hold->done), revision = entry.revision,
                             results = std::move(results)]() mutable {
    done({revision, std::move(results)});
  });
  EndHold(hold->id);
}

// Requests are answered when the whole batch is applied: what they call next sees its end.
void ReplicaImpl::AfterApply() {
  PublishStats();
  std::vector<Finished> finished = std::exchange(finished_, {});
  for (const Finished& f : finished) in_flight_.RemoveAppended(f.write->footprint);
  std::vector<absl::AnyInvocable<void()>> holds = std::exchange(finished_holds_, {});
  for (Finished& f : finished) Answer(f.write, f.revision, std::move(f.results));
  for (absl::AnyInvocable<void()>& done : holds) done();
  RetryDrainingHolds();
  in_flight_.Pump();
  barrier_.OnApplied(watermark_.position);
}

void ReplicaImpl::PublishStats() {
  const mvcc::StoreStats store = store_->stats();
  auto publish = [](std::atomic<int64_t>& to, int64_t value) {
    to.store(value, std::memory_order_relaxed);
  };
  publish(stats_.logical_bytes, store.logical_bytes);
  publish(stats_.logical_live_bytes, store.logical_live_bytes);
  publish(stats_.segment_bytes, store.segment_bytes);
  publish(stats_.live_keys, store.live_keys);
  publish(stats_.versions, store.versions);
  publish(stats_.applied_position, static_cast<int64_t>(watermark_.position.value()));
  publish(stats_.revision, watermark_.revision.value());
  publish(stats_.compact_revision, store_->compact_revision().value());
  publish(stats_.watchers, watches_->watcher_count());
  publish(stats_.watchers_behind, watches_->behind_count());
  stats_.state_hash.store(store.state_hash, std::memory_order_relaxed);
  publish(stats_.pending_writes, static_cast<int64_t>(writes_.size()));
  index_charge_.Set(store.index_bytes + leases_.heap_bytes());
}

// --- Reign ---

void ReplicaImpl::BecomePrimary(StatusCallback done) {
  auto claimed = [this, done = std::move(done)](absl::StatusOr<Epoch> epoch) mutable {
    if (!epoch.ok()) {
      done(epoch.status());
      return;
    }
    barrier_.WhenApplied(Position(epoch->value()),
                         [done = std::move(done)]() mutable { done(absl::OkStatus()); });
  };
  journal_.Claim(options_.partition, options_.origin,
                 [executor = &executor_, alive = std::weak_ptr<bool>(alive_),
                  claimed = std::move(claimed)](absl::StatusOr<Epoch> epoch) mutable {
                   executor->Post([alive = std::move(alive), claimed = std::move(claimed),
                                   epoch = std::move(epoch)]() mutable {
                     if (!alive.expired()) claimed(std::move(epoch));
                   });
                 });
}

// --- Maintenance ---

void ReplicaImpl::RunCompaction(Revision up_to, Pace pace, absl::AnyInvocable<void()> done) {
  compaction_hurries_ |= pace == Pace::kHurry;
  compaction_up_to_ = std::max(compaction_up_to_, up_to);
  compaction_waiters_.push_back(std::move(done));
  if (std::exchange(compaction_running_, true)) return;
  PostToSelf([this] { CompactionStep(); });
}

void ReplicaImpl::CompactionStep() {
  if (image_open_) {
    compaction_paused_ = true;
    return;
  }
  const absl::Duration begun = clock_.Monotonic();
  const int64_t versions_before = store_->stats().versions;
  const bool more =
      store_->CompactStep(static_cast<int64_t>(options_.step_keys), compaction_up_to_);
  stats_.compacted_versions_total.fetch_add(versions_before - store_->stats().versions,
                                            std::memory_order_relaxed);
  if (more) {
    const int rest_percent = compaction_hurries_ ? 0 : kCompactionRestPercent;
    return PostToSelf([this] { CompactionStep(); },
                      (clock_.Monotonic() - begun) * rest_percent / 100);
  }
  compaction_hurries_ = false;
  compaction_running_ = false;
  PublishStats();
  for (auto& done : std::exchange(compaction_waiters_, {})) done();
}

void ReplicaImpl::KickWatches() {
  if (std::exchange(catch_up_running_, true)) return;
  PostToSelf([this] { CatchUpStep(); });
}

void ReplicaImpl::CatchUpStep() {
  if (watches_->CatchUpStep(static_cast<int64_t>(options_.step_keys))) {
    PostToSelf([this] { CatchUpStep(); });
    return;
  }
  catch_up_running_ = false;
  PublishStats();
}

void ReplicaImpl::CheckInvariants() const {
  store_->CheckInvariants();
  watches_->CheckInvariants();
  CHECK(store_->current_revision() == watermark_.revision);
  CHECK(writes_.size() <= options_.max_pending_writes);
  CHECK(appended_.size() <= writes_.size() || failed_from_ != 0 || journal_stopped_);
  CHECK(!writes_.empty() || !holds_.empty() || in_flight_.idle());
  size_t attached = 0;
  store_->Visit({.begin = {}, .end = {}, .single = false, .to_infinity = true}, mvcc::kLatest,
                [&](const mvcc::KeyValueView& kv) {
                  if (kv.lease.value() != 0) {
                    CHECK(leases_.IsAttached(kv.lease, kv.key));
                    ++attached;
                  }
                  return true;
                });
  CHECK(attached == leases_.attached_count());
}

}  // namespace tidemark::kvstore
