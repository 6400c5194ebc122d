#include "src/partition/checkpointer.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "absl/strings/str_cat.h"
#include "src/base/check.h"
#include "src/base/failpoint.h"
#include "src/base/log.h"
#include "src/base/post_after.h"
#include "src/base/release.h"
#include "src/kvstore/node_state.h"

namespace tidemark::partition {

using kvstore::CheckpointHeader;

// One checkpoint on its way. Touched by one sequence at a time: what is posted hands it over.
struct Checkpointer::Walk {
  kvstore::Replica* replica = nullptr;
  std::optional<Base> base;  // of an increment
  CheckpointHeader header;
  kvstore::ImageState state;  // becomes part of the header at the end
  uint64_t stored_hash = 0;   // what the store has: the records must add up to it
  uint64_t walked_hash = 0;
  std::deque<mvcc::RevisionKey> removals;
  std::deque<mvcc::RevisionKey> forgotten_removals;  // to be freed off the loops: perhaps millions
  mvcc::RevisionKey next{Revision(0), 0};
  std::vector<mvcc::StoredRecord> step;
  bool last_step = false;
  bool has_image = false;
  std::unique_ptr<kvstore::CheckpointWriter> writer;
};

Checkpointer::Checkpointer(CheckpointPolicy policy, Doors doors, std::string partition_map)
    : policy_(policy), doors_(std::move(doors)), partition_map_(std::move(partition_map)) {}

// Tasks that will not run any more may keep the walk beyond what it writes to.
Checkpointer::~Checkpointer() {
  alive_->store(false);
  if (walk_ == nullptr) return;
  walk_->writer.reset();
  walk_->step.clear();
}

void Checkpointer::Start(const std::set<PartitionId>& good) {
  for (PartitionId id : good) {
    auto header = doors_.checkpoints.Newest(id);
    if (header.ok() && header->has_value()) good_[id] = (*header)->at.position;
  }
  last_round_ = doors_.clock.Monotonic();
  Poll();
}

void Checkpointer::Stop() {
  stopped_ = true;
  doors_.home.Cancel(timer_);
}

void Checkpointer::ArmPoll() {
  timer_ = doors_.home.PostAt(doors_.clock.Monotonic() + policy_.poll_interval, [this] { Poll(); });
}

void Checkpointer::Poll() {
  if (stopped_) return;
  ArmPoll();
  doors_.checkpoints.Hurry(IsLate() && !PLANTED_BUG("checkpoint_never_hurries"));
  // A trim goes on behind the round that wanted it.
  left_bytes_ = std::min(left_bytes_, std::max<uint64_t>(doors_.journal_bytes(), 1));
  if (running_ || !IsDue()) return;
  running_ = true;
  last_round_ = doors_.clock.Monotonic();
  last_round_position_ = doors_.journal.KnownTail().position;
  waiting_ = doors_.parts.ids();
  std::reverse(waiting_.begin(), waiting_.end());
  NextPartition();
}

bool Checkpointer::IsDue() const {
  if (doors_.journal.KnownTail().position == last_round_position_) return false;
  const uint64_t held = doors_.journal_bytes();
  const bool has_grown = left_bytes_ == 0 || held >= left_bytes_ + policy_.journal_bytes / 4;
  return (held >= policy_.journal_bytes && has_grown) ||
         doors_.clock.Monotonic() - last_round_ >= policy_.interval;
}

// The journal outgrows its bound by a quarter, or half of the time to the next round is over.
bool Checkpointer::IsLate() const {
  return doors_.journal_bytes() >= policy_.journal_bytes + policy_.journal_bytes / 4 ||
         (running_ && doors_.clock.Monotonic() - last_round_ >= policy_.interval / 2);
}

void Checkpointer::NextPartition() {
  if (stopped_) return;
  if (waiting_.empty()) return FinishRound();
  auto walk = std::make_shared<Walk>();
  walk->replica = &doors_.parts.replica(waiting_.back());
  waiting_.pop_back();
  walk_ = walk;
  if (auto base = bases_.find(walk->replica->partition()); base != bases_.end()) {
    walk->base = base->second;
  }
  Executor& executor = walk->replica->executor();
  executor.Post([this, walk = std::move(walk)]() mutable { Begin(std::move(walk)); });
}

void Checkpointer::FinishRound() {
  running_ = false;
  left_bytes_ = std::max<uint64_t>(doors_.journal_bytes(), 1);
  stats_.last_duration_ms = absl::ToInt64Milliseconds(doors_.clock.Monotonic() - last_round_);
  Trim();
  ++stats_.rounds;
}

void Checkpointer::Trim() {
  if (good_.size() < doors_.parts.size()) return;
  Position oldest = good_.begin()->second;
  for (const auto& [id, position] : good_) oldest = std::min(oldest, position);
  stats_.oldest_position = static_cast<int64_t>(oldest.value());
  doors_.journal.Trim(
      PLANTED_BUG("checkpoint_trims_to_the_newest") ? doors_.journal.KnownTail().position : oldest);
}

// --- The walk ---

void Checkpointer::Begin(std::shared_ptr<Walk> walk) {
  kvstore::Replica::Image image = walk->replica->BeginImage();
  walk->has_image = true;
  if (PLANTED_BUG("checkpoint_forgets_leases")) image.node.leases.clear();
  CheckpointHeader& header = walk->header;
  header.partition = walk->replica->partition();
  header.at = image.at;
  header.compact_revision = image.compacted;
  if (PLANTED_BUG("checkpoint_forgets_compaction")) header.compact_revision = Revision(0);
  header.state_hash = image.stats.state_hash;
  header.records = image.stats.versions;
  header.record_bytes = static_cast<uint64_t>(image.stats.wire_bytes);
  walk->state = {std::move(image.node), partition_map_, image.stats.last_change,
                 image.stats.stored_hash};
  walk->stored_hash = image.stats.stored_hash;
  Plan(walk.get());
  CollectStep(std::move(walk));
}

void Checkpointer::Plan(Walk* walk) const {
  mvcc::VersionStore& store = walk->replica->store();
  const mvcc::VersionStore::TrackedRemovals* const removals = store.Removals();
  if (walk->base && removals != nullptr) {
    const auto removed = static_cast<int64_t>(removals->revisions.size());
    const int64_t added = walk->header.records - (walk->base->records - removed);
    CHECK(added >= 0);
    // Removed records take space until the next whole one.
    const bool wasteful = doors_.checkpoints.DiskBytes(walk->header.partition) >
                          2 * walk->header.record_bytes + policy_.wasted_bytes_max;
    const bool little =
        (added + removed) * 100 <= walk->header.records * policy_.whole_from_percent;
    const bool many = walk->base->increments >= policy_.increments_max;
    if (little && !wasteful && !many) {
      walk->walked_hash = walk->base->stored_hash - removals->hash;
      walk->removals = store.TakeRemovals();
      if (PLANTED_BUG("checkpoint_keeps_removed_records")) walk->removals.clear();
      walk->next = {walk->base->revision.Next(), 0};
      return;
    }
  }
  walk->base.reset();
}

void Checkpointer::CollectStep(std::shared_ptr<Walk> walk) {
  const Revision last = walk->header.at.revision;
  walk->next = walk->replica->store().VisitStored(
      walk->next, policy_.records_per_step, [&](mvcc::StoredRecord record) {
        if (record.revision.main <= last || PLANTED_BUG("checkpoint_walk_not_pinned")) {
          walk->step.push_back(std::move(record));
        }
      });
  walk->last_step = walk->next.main > last;
  if (walk->last_step) EndImage(walk.get());  // the step's records are held by reference
  OnDisk(std::move(walk), &Checkpointer::WriteStep);
}

// What is removed from now on, the checkpoint has; should it fail, the next is a whole one.
void Checkpointer::EndImage(Walk* walk) const {
  if (!std::exchange(walk->has_image, false)) return;
  walk->forgotten_removals =
      walk->replica->store().TrackRemovals(walk->header.at.revision, policy_.tracked_removals_max);
  walk->replica->EndImage();
}

void Checkpointer::OnDisk(std::shared_ptr<Walk> walk,
                          void (Checkpointer::*step)(const std::shared_ptr<Walk>&)) {
  doors_.disk.Run([this, alive = alive_, walk = std::move(walk), step] {
    if (*alive) (this->*step)(walk);
  });
}

void Checkpointer::WriteStep(const std::shared_ptr<Walk>& walk) {
  const absl::Duration begun = doors_.clock.Monotonic();
  if (walk->writer == nullptr) {
    auto writer =
        walk->base ? doors_.checkpoints.BeginIncrement(walk->header.partition, walk->base->position)
                   : doors_.checkpoints.BeginWhole(walk->header.partition);
    if (!writer.ok()) return End(walk, writer.status());
    walk->writer = *std::move(writer);
    // They come in the order of removal, perhaps millions: sorted here, apart from the sequence.
    std::sort(walk->removals.begin(), walk->removals.end());
    for (const mvcc::RevisionKey& revision : walk->removals) {
      if (absl::Status s = walk->writer->Remove(revision); !s.ok()) return End(walk, s);
    }
    tidemark::Release(walk->removals);
  }
  for (const mvcc::StoredRecord& record : walk->step) {
    const absl::string_view wire = record.wire.view();
    walk->walked_hash += mvcc::VersionStore::HashOf(record.revision, record.tombstone, wire);
    absl::Status added = walk->writer->Add({record.revision, record.tombstone, wire});
    if (!added.ok()) return End(walk, added);
  }
  walk->step.clear();
  if (walk->last_step) return Commit(walk);
  CollectLater(walk, doors_.clock.Monotonic() - begun);
}

void Checkpointer::CollectLater(std::shared_ptr<Walk> walk, absl::Duration worked) {
  const bool hurries = doors_.journal_bytes() / 2 >= policy_.journal_bytes;
  const absl::Duration rest = hurries ? absl::ZeroDuration() : worked * policy_.rest_percent / 100;
  Executor& executor = walk->replica->executor();
  PostAfter(executor, doors_.clock, rest, [this, alive = alive_, walk = std::move(walk)]() mutable {
    if (*alive) CollectStep(std::move(walk));
  });
}

void Checkpointer::Commit(const std::shared_ptr<Walk>& walk) {
  // What was written is computed from the bytes written: memory that rots ends here, not on disk.
  CHECK_MSG(walk->walked_hash == walk->stored_hash,
            absl::StrCat("the checkpoint of partition ", walk->header.partition.value(),
                         " does not add up to the state it was made from"));
  walk->header.node_state = kvstore::EncodeImageState(std::move(walk->state));
  FAIL_POINT("checkpoint.before_commit");
  const absl::Status committed = walk->writer->Commit(walk->header);
  FAIL_POINT("checkpoint.after_commit");
  stats_.bytes_written += static_cast<int64_t>(walk->writer->bytes_written());
  End(walk, committed);
}

void Checkpointer::End(std::shared_ptr<Walk> walk, absl::Status status) {
  walk->writer.reset();
  walk->step.clear();
  tidemark::Release(walk->removals);
  tidemark::Release(walk->forgotten_removals);
  Executor& executor = walk->replica->executor();
  executor.Post([this, walk = std::move(walk), status = std::move(status)] {
    EndImage(walk.get());
    doors_.home.Post([this, walk, status] { OnEnded(*walk, status); });
  });
}

void Checkpointer::OnEnded(const Walk& walk, const absl::Status& status) {
  walk_.reset();
  const PartitionId partition = walk.header.partition;
  if (doors_.checkpoints.is_broken()) {
    Fatal(absl::StrCat("checkpoints cannot be made durable any more: ", status.ToString()));
  }
  if (stopped_) return;
  if (status.ok() || PLANTED_BUG("checkpoint_failed_counts_as_made")) {
    ++(walk.base ? stats_.increments : stats_.whole);
    good_[partition] = walk.header.at.position;
    bases_[partition] = {walk.header.at.position, walk.header.records, walk.stored_hash,
                         walk.header.at.revision, walk.base ? walk.base->increments + 1 : 0};
    TLOG(kInfo, "made a checkpoint",
         {{"partition", partition.value()},
          {"position", walk.header.at.position.value()},
          {"whole", !walk.base},
          {"records", walk.header.records},
          {"bytes", walk.header.record_bytes}});
    return NextPartition();
  }
  ++stats_.failures;
  bases_.erase(partition);
  last_round_position_ = Position(0);  // again also if nothing is written meanwhile
  if (absl::IsResourceExhausted(status) && !PLANTED_BUG("checkpoint_journal_keeps_the_space")) {
    doors_.journal.GiveSpaceBack();
  }
  TLOG(kError, "a checkpoint failed; the journal is kept, and it is tried again",
       {{"partition", partition.value()}, {"error", status.message()}});
  NextPartition();
}

}  // namespace tidemark::partition
