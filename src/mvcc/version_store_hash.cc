#include "src/base/check.h"
#include "src/mvcc/version_store_impl.h"

namespace tidemark::mvcc {

bool VersionStoreImpl::HasLiveKeys(Revision at) const {
  if (live_keys_memo_ && live_keys_memo_->first == at) return live_keys_memo_->second;
  bool found = false;
  index_.Visit(FromEtcd(absl::string_view("\0", 1), absl::string_view("\0", 1)),
               [&](const KeyNode& node) {
                 found = node.LiveAt(at) != nullptr;
                 return !found;
               });
  live_keys_memo_ = {at, found};
  return found;
}

RevisionKey VersionStoreImpl::VisitForHash(RevisionKey from, Revision at, Revision compacted,
                                           int64_t max_scanned,
                                           absl::FunctionRef<void(HashItem)> visitor) const {
  CHECK(at <= current_ && compacted <= at && max_scanned > 0);
  // What the answer needs must still be there: the caller hashes before it removes.
  CHECK(removed_to_ <= compacted);
  RevisionKey next{at.Next(), 0};
  int64_t scanned = 0;
  changes_.VisitFrom(from, [&](RevisionKey revision, Location location) {
    if (revision.main > at) return false;
    if (scanned++ == max_scanned) {
      next = revision;
      return false;
    }
    const RecordHeader& record = log_.Record(location);
    HashItem item;
    if (revision.main <= compacted) {
      if (record.tombstone()) return true;
      const KeyNode& node = *index_.Find(KeyOfWire(record.wire()));
      // Removed by the compaction, or about to be.
      if (node.NewestAt(compacted)->location() != location) return true;
      item.only_if_nothing_lives = node.NewestAt(at)->location() != location;
      if (item.only_if_nothing_lives && HasLiveKeys(at)) return true;
    }
    item.revision = revision;
    item.tombstone = record.tombstone();
    const absl::string_view wire = record.wire();
    item.value = log_.Share(location, item.tombstone ? KeyFieldPrefix(wire) : wire);
    visitor(std::move(item));
    return true;
  });
  return next;
}

}  // namespace tidemark::mvcc
