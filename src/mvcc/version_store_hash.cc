#include "src/base/check.h"
#include "src/mvcc/version_store_impl.h"

namespace tidemark::mvcc {

// Of a change at or below the compact revision. What the compaction removed, or is about to, does
// not count, nor does what is dead by then.
bool VersionStoreImpl::CountsForHash(const RecordHeader& record, Location location,
                                     const HashSpec& spec) const {
  if (record.tombstone()) return false;
  const KeyNode& node = *index_.Find(KeyOfWire(record.wire()));
  if (node.NewestAt(spec.compacted)->location() != location) return false;
  return spec.nothing_lives || node.NewestAt(spec.at)->location() == location;
}

RevisionKey VersionStoreImpl::VisitForHash(RevisionKey from, const HashSpec& spec,
                                           int64_t max_scanned,
                                           absl::FunctionRef<void(HashItem)> visitor) const {
  CHECK(spec.at <= current_ && spec.compacted <= spec.at && max_scanned > 0);
  // What the answer needs must still be there: the caller hashes before it removes.
  CHECK(removed_to_ <= spec.compacted);
  RevisionKey next{spec.at.Next(), 0};
  int64_t scanned = 0;
  size_t value_bytes = 0;
  changes_.VisitFrom(from, [&](RevisionKey revision, Location location) {
    if (revision.main > spec.at) return false;
    if (scanned++ == max_scanned || value_bytes >= kHashStepBytes) {
      next = revision;
      return false;
    }
    const RecordHeader& record = log_.Record(location);
    if (revision.main <= spec.compacted && !CountsForHash(record, location, spec)) return true;
    HashItem item;
    item.revision = revision;
    item.tombstone = record.tombstone();
    const absl::string_view wire = record.wire();
    item.value = log_.Share(location, item.tombstone ? KeyFieldPrefix(wire) : wire);
    value_bytes += item.value.size();
    visitor(std::move(item));
    return true;
  });
  return next;
}

}  // namespace tidemark::mvcc
