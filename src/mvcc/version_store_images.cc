// What a checkpoint of the store is made from.
#include <deque>
#include <utility>

#include "src/base/check.h"
#include "src/mvcc/version_store_impl.h"

namespace tidemark::mvcc {

RevisionKey VersionStoreImpl::VisitStored(RevisionKey from, int64_t max_records,
                                          absl::FunctionRef<void(StoredRecord)> visitor) const {
  CHECK(max_records > 0);
  RevisionKey next{current_.Next(), 0};
  int64_t visited = 0;
  changes_.VisitFrom(from, [&](RevisionKey revision, Location location) {
    if (visited++ == max_records) {
      next = revision;
      return false;
    }
    visitor({revision, log_.Record(location).tombstone(), ShareWire(location)});
    return true;
  });
  return next;
}

std::deque<RevisionKey> VersionStoreImpl::TrackRemovals(Revision bound, size_t limit) {
  track_removals_up_to_ = bound;
  removals_limit_ = limit;
  return std::exchange(removals_, {}).revisions;
}

const VersionStore::TrackedRemovals* VersionStoreImpl::Removals() const {
  if (!track_removals_up_to_ || removals_.revisions.size() > removals_limit_) return nullptr;
  return &removals_;
}

std::deque<RevisionKey> VersionStoreImpl::TakeRemovals() {
  CHECK(Removals() != nullptr);
  track_removals_up_to_.reset();
  return std::exchange(removals_, {}).revisions;
}

uint64_t VersionStore::HashOf(RevisionKey revision, bool tombstone, absl::string_view wire) {
  return RecordHeader::HashOf(revision, tombstone, wire);
}

}  // namespace tidemark::mvcc
