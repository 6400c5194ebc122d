// Compaction removes versions key by key from a queue of the keys that have something to remove, so
// its cost follows what changed and not the number of keys. Cleaning then gives sparse segments
// back.
#include <algorithm>

#include "src/base/check.h"
#include "src/base/failpoint.h"
#include "src/mvcc/version_store_impl.h"

namespace tidemark::mvcc {
namespace {

// Below this share of live bytes a segment's records are moved. Copying costs live / (1 - live) per
// byte gained, and total memory stays below 1 / 0.75 of the live bytes.
constexpr int kCleanBelowPercent = 75;
// Records may be large.
constexpr size_t kCleanStepBytes = 256 << 10;

}  // namespace

void VersionStoreImpl::Compact(Revision revision, Position position) {
  CHECK(!entry_open_);
  CHECK(revision > compact_revision_ && revision <= current_ && revision >= Revision(0));
  compact_revision_ = revision;
  compacted_at_ = std::max(compacted_at_, position);  // a replay repeats what memory knows
}

bool VersionStoreImpl::CompactStep(int64_t max_versions, Revision up_to) {
  CHECK(!entry_open_ && max_versions > 0);
  FAIL_POINT("mvcc.compact_step");
  const Revision bound = std::max(removed_to_, std::min(compact_revision_, up_to));
  if (bound > removed_to_) {
    // A new round, or the running one starts over with a higher bound.
    removed_to_ = bound;
    to_compact_ = compaction_queue_.size();
    cleaning_due_ = true;
  }
  int64_t done = 0;
  while (to_compact_ > 0 && done < max_versions) {
    KeyNode* node = compaction_queue_.front();
    compaction_queue_.pop_front();
    --to_compact_;
    done += 1 + Prune(node, bound, max_versions - done);
  }
  if (to_compact_ > 0) return true;
  const bool more = CleanStep(max_versions - done);
  Publish();  // where moved records are
  return more;
}

int64_t VersionStoreImpl::Prune(KeyNode* node, Revision bound, int64_t max_removed) {
  const absl::Span<const Version> versions = node->versions();
  size_t removed = node->CountUpTo(bound);
  if (removed > 0) {
    const Version& newest = versions[removed - 1];
    // The tombstone at exactly the compact revision stays, or a watch from there would miss the
    // delete (etcd #18089).
    const bool kept_tombstone =
        newest.main() == compact_revision_ && !PLANTED_BUG("mvcc_compact_drops_newest_tombstone");
    if (!newest.tombstone() || kept_tombstone) --removed;
  }
  const bool more = removed > static_cast<size_t>(max_removed);
  if (more) removed = static_cast<size_t>(max_removed);
  for (size_t i = 0; i < removed; ++i) RemoveVersion(versions[i]);
  node->EraseFront(static_cast<uint32_t>(removed));
  if (more) {
    compaction_queue_.push_front(node);
    ++to_compact_;
    return static_cast<int64_t>(removed);
  }
  node->queued = node->versions().size() > 1 || (node->newest() && node->newest()->tombstone());
  if (node->queued) {
    compaction_queue_.push_back(node);
  } else if (node->versions().empty()) {
    index_.Erase(node);
  }
  return static_cast<int64_t>(removed);
}

void VersionStoreImpl::RemoveVersion(const Version& version) {
  const RecordHeader& record = log_.Record(version.location());
  Publish(record.Hash());
  FAIL_POINT("mvcc.before_removal");
  stats_.versions -= 1;
  stats_.logical_bytes -= LogicalBytes(record);
  stats_.stored_hash -= record.Hash();
  const RevisionKey revision = record.revision();
  if (track_removals_up_to_ && revision.main <= *track_removals_up_to_ &&
      removals_.revisions.size() <= removals_limit_) {
    removals_.revisions.push_back(revision);
    removals_.hash += record.Hash();
  }
  changes_.Remove(revision);
  log_.Release(version.location());
  FAIL_POINT("mvcc.after_removal");
}

bool VersionStoreImpl::CleanStep(int64_t max_records) {
  if (cleaning_due_) {
    cleaning_due_ = false;
    to_clean_ = log_.SparseSegments(compact_revision_, kCleanBelowPercent);
    std::reverse(to_clean_.begin(), to_clean_.end());
    clean_offset_ = 0;
  }
  size_t looked_at_bytes = 0;
  for (int64_t looked_at = 0; !to_clean_.empty(); ++looked_at) {
    const uint32_t slot = to_clean_.back();
    const Segment* segment = log_.SegmentAt(slot);
    if (segment == nullptr || segment->open) {  // emptied by itself, perhaps used anew
      to_clean_.pop_back();
      clean_offset_ = 0;
      continue;
    }
    if (looked_at >= max_records || looked_at_bytes >= kCleanStepBytes) return true;
    if (clean_offset_ == 0) clean_offset_ = Segment::kFirstOffset;
    if (clean_offset_ >= segment->used_bytes()) {
      to_clean_.pop_back();
      clean_offset_ = 0;
      continue;
    }
    const Location location(slot, clean_offset_);
    const RecordHeader& record = *segment->At(clean_offset_);
    const size_t record_bytes = RecordSizeBytes(record.wire_size);
    if (!MoveRecord(location, record)) {  // whoever calls next tries again
      to_clean_.clear();
      cleaning_due_ = !PLANTED_BUG("mvcc_cleaning_without_room_forgotten");
      return false;
    }
    clean_offset_ += record_bytes;
    looked_at_bytes += record_bytes;
  }
  return false;
}

bool VersionStoreImpl::MoveRecord(Location location, const RecordHeader& record) {
  if (record.dead()) return true;  // when it was adopted, nobody looked whether it holds a key
  KeyNode* node = index_.Find(KeyOfWire(record.wire()));
  if (node == nullptr) return true;
  const RevisionKey revision = record.revision();
  const absl::Span<Version> versions = node->mutable_versions();
  for (size_t i = node->CountUpTo(revision.main); i-- > 0;) {
    if (versions[i].main() < revision.main) return true;
    if (versions[i].location() != location) continue;
    const std::optional<Location> moved = log_.Move(location);
    if (!moved.has_value()) return false;
    versions[i].set_location(*moved);
    changes_.Relocate(revision, *moved);
    return true;
  }
  return true;
}

}  // namespace tidemark::mvcc
