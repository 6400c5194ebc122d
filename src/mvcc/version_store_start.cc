// Starting with data: from the segments of a former process, or record by record from an image.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "src/base/check.h"
#include "src/mvcc/version_store_impl.h"

namespace tidemark::mvcc {
namespace {

bool IsRecordOf(RevisionKey revision, absl::string_view wire) {
  KeyValueFields fields;
  return DecodeKeyValue(wire, &fields) && !fields.key.empty() &&
         fields.mod_revision == revision.main.value();
}

absl::Status NotARecord(RevisionKey revision) {
  return absl::DataLossError(
      absl::StrCat("the record of revision ", revision.main.value(), " is not one"));
}

}  // namespace

absl::Status VersionStoreImpl::StartEmpty() {
  CHECK(!entry_open_);
  Clear();
  return log_.StartEmpty();
}

absl::Status VersionStoreImpl::Adopt() {
  CHECK(stats_.versions == 0);
  absl::StatusOr<SegmentLog::Adopted> adopted = log_.Adopt();
  if (!adopted.ok()) return adopted.status();
  absl::Status wrong;
  for (const auto& [revision, location] : adopted->records) {
    if (!IsRecordOf(revision, log_.Record(location).wire())) {
      wrong = NotARecord(revision);
      break;
    }
    AddStored(revision, location);
  }
  if (wrong.ok()) wrong = CheckAdopted(adopted->commit);
  if (!wrong.ok()) {
    Clear();
    log_.DiscardAll();
    return wrong;
  }
  stats_.last_change = adopted->commit.main;
  current_ = std::max(current_, stats_.last_change);
  Publish();
  return absl::OkStatus();
}

// What the checksums cannot tell: that something is missing.
absl::Status VersionStoreImpl::CheckAdopted(const SegmentTable::Commit& commit) const {
  if (stats_.live_keys != commit.live_keys || stats_.state_hash != commit.state_hash) {
    return absl::DataLossError(absl::StrCat(
        "the segments hold ", stats_.live_keys, " live keys with hash ", stats_.state_hash,
        "; the former process had ", commit.live_keys, " with hash ", commit.state_hash));
  }
  return absl::OkStatus();
}

void VersionStoreImpl::Clear() {
  index_.Clear();
  changes_ = ChangeIndex();
  stats_ = StoreStats();
  current_ = kEmptyStoreRevision;
  events_.clear();
  compaction_queue_.clear();
}

absl::Status VersionStoreImpl::Restore(RevisionKey revision, bool tombstone,
                                       absl::string_view wire) {
  CHECK(!entry_open_);
  if (!IsRecordOf(revision, wire)) return NotARecord(revision);
  AddStored(revision, log_.AppendWire(revision, tombstone, wire));
  return absl::OkStatus();
}

void VersionStoreImpl::AddStored(RevisionKey revision, Location location) {
  const RecordHeader& record = log_.Record(location);
  KeyNode* node = index_.FindOrCreate(KeyOfWire(record.wire()));
  const Version* newest = node->newest();
  const bool was_alive = newest != nullptr && !newest->tombstone();
  BecomeNewest(record, was_alive ? &log_.Record(newest->location()) : nullptr);
  AddVersion(node, revision, record.tombstone(), location);
}

void VersionStoreImpl::FinishStart(const StartState& state) {
  CHECK(!entry_open_);
  stats_.last_change = std::max(stats_.last_change, state.last_change);
  current_ = state.current;
  compact_revision_ = state.compacted;
  CHECK(compact_revision_ <= current_ && current_ >= stats_.last_change);
  Publish();
}

}  // namespace tidemark::mvcc
