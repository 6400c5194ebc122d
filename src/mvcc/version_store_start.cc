// Starting with data: from the segments of a former process, or from an image.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "src/base/check.h"
#include "src/base/failpoint.h"
#include "src/mvcc/version_store_impl.h"

namespace tidemark::mvcc {

absl::Status VersionStoreImpl::StartEmpty() {
  CHECK(!entry_open_);
  Clear();
  if (absl::Status started = log_.StartEmpty(); !started.ok()) return started;
  Publish();
  return absl::OkStatus();
}

absl::Status VersionStoreImpl::Adopt(ParallelRunner& workers, LoadProgress& progress) {
  CHECK(stats_.versions == 0);
  absl::StatusOr<SegmentLog::Adopted> adopted = log_.Adopt(workers, progress);
  if (!adopted.ok()) return adopted.status();
  const SegmentTable::Commit commit = adopted->commit;
  const auto live_keys = static_cast<size_t>(std::max<int64_t>(commit.live_keys, 0));
  TakeIn(IndexBuilder(log_, index_, changes_)
             .Build(std::move(adopted->records), live_keys, workers, progress));
  if (absl::Status wrong = CheckAdopted(commit); !wrong.ok()) {
    Clear();
    log_.DiscardAll();
    return wrong;
  }
  stats_.last_change = commit.main;
  compacted_at_ = Position(commit.compacted_at);
  current_ = std::max(current_, stats_.last_change);
  Publish();
  return absl::OkStatus();
}

void VersionStoreImpl::TakeIn(const IndexBuilder::Built& built) {
  const IndexBuilder::Totals& totals = built.totals;
  stats_.versions = totals.versions;
  stats_.logical_bytes = totals.wire_bytes + totals.versions * kRecordOverheadBytes;
  stats_.stored_hash = totals.stored_hash;
  stats_.live_keys = totals.live_keys;
  stats_.logical_live_bytes = totals.live_wire_bytes + totals.live_keys * kRecordOverheadBytes;
  stats_.state_hash = totals.state_hash;
  compaction_queue_.assign(built.to_compact.begin(), built.to_compact.end());
  leased_ = built.leased;
}

// What the checksums cannot tell: that something is missing.
absl::Status VersionStoreImpl::CheckAdopted(const SegmentTable::Commit& commit) const {
  if (stats_.live_keys != commit.live_keys || stats_.state_hash != commit.state_hash) {
    return absl::DataLossError(absl::StrCat(
        "the segments hold ", stats_.live_keys, " live keys with hash ", stats_.state_hash,
        "; the former process had ", commit.live_keys, " with hash ", commit.state_hash));
  }
  const uint64_t stored = stats_.stored_hash;
  if (stored != commit.stored_hash && stored != commit.stored_hash - commit.removing &&
      !PLANTED_BUG("mvcc_stored_hash_unchecked")) {
    return absl::DataLossError(absl::StrCat("a version or tombstone was lost: the segments hold ",
                                            stats_.versions, " with hash ", stored,
                                            "; the former process had ", commit.stored_hash));
  }
  return absl::OkStatus();
}

void VersionStoreImpl::Clear() {
  index_.Clear();
  changes_ = ChangeIndex();
  stats_ = StoreStats();
  current_ = kEmptyStoreRevision;
  compacted_at_ = Position(0);
  events_.clear();
  compaction_queue_.clear();
  leased_.emplace();
  restored_parts_.clear();
}

void VersionStoreImpl::BeginRestore(size_t parts) {
  CHECK(!entry_open_ && stats_.versions == 0 && restored_parts_.empty());
  for (size_t part = 0; part < parts; ++part) restored_parts_.emplace_back(log_.maker(), part);
}

absl::Status VersionStoreImpl::Restore(size_t part, RevisionKey revision, bool tombstone,
                                       absl::string_view wire) {
  CHECK(part < restored_parts_.size());
  return restored_parts_[part].Append(revision, tombstone, wire);
}

absl::Status VersionStoreImpl::FinishRestore(ParallelRunner& workers, LoadProgress& progress) {
  std::vector<SegmentFiller::Filled> parts;
  for (SegmentFiller& part : restored_parts_) parts.push_back(part.Take());
  restored_parts_.clear();
  absl::StatusOr<RecordRuns> records = log_.TakeFilled(std::move(parts), workers);
  if (!records.ok()) return records.status();
  TakeIn(IndexBuilder(log_, index_, changes_).Build(*std::move(records), 0, workers, progress));
  return absl::OkStatus();
}

void VersionStoreImpl::FinishStart(const StartState& state) {
  CHECK(!entry_open_);
  stats_.last_change = std::max(stats_.last_change, state.last_change);
  current_ = state.current;
  compact_revision_ = state.compacted;
  CHECK(compact_revision_ <= current_ && current_ >= stats_.last_change);
  Publish();
}

void VersionStoreImpl::TakeLeased(absl::FunctionRef<void(absl::string_view, LeaseId)> visitor) {
  CHECK(!entry_open_ && leased_.has_value());
  if (PLANTED_BUG("start_forgets_a_leased_key") && !leased_->empty()) leased_->pop_back();
  for (const KeyNode* node : *leased_) {
    visitor(node->key(), Load(node->newest()->location()).lease);
  }
  leased_.reset();
}

}  // namespace tidemark::mvcc
