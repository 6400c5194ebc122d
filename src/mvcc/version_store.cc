#include "src/mvcc/version_store.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "src/base/check.h"
#include "src/mvcc/version_store_impl.h"

namespace tidemark::mvcc {

std::unique_ptr<VersionStore> VersionStore::Create(StoreOptions options, MemoryMapper& memory) {
  return std::make_unique<VersionStoreImpl>(std::move(options), memory);
}

std::unique_ptr<VersionStore> VersionStore::CreateEmpty(StoreOptions options,
                                                        MemoryMapper& memory) {
  std::unique_ptr<VersionStore> store = Create(std::move(options), memory);
  const absl::Status started = store->StartEmpty();
  if (!started.ok()) Fatal(absl::StrCat("starting a store: ", started.ToString()));
  return store;
}

VersionStoreImpl::VersionStoreImpl(StoreOptions options, MemoryMapper& memory)
    : start_id_(options.start_id), log_(options, memory) {}

StoreStats VersionStoreImpl::stats() const {
  StoreStats stats = stats_;
  stats.wire_bytes = stats.logical_bytes - stats.versions * kRecordOverheadBytes;
  stats.segment_bytes = log_.mapped_bytes();
  // A key's node and its places by hash and in order; a version's place in the order of changes;
  // from the second one on an array for all of the key's, and its place among what compaction looks
  // at. With the allocator's slack, as measured.
  constexpr int64_t kKeyBytes = 84;
  constexpr int64_t kVersionBytes = 20;
  constexpr int64_t kFurtherVersionBytes = 44;
  const int64_t keys = static_cast<int64_t>(index_.size());
  stats.index_bytes = keys * kKeyBytes + index_.key_bytes() + stats.versions * kVersionBytes +
                      (stats.versions - keys) * kFurtherVersionBytes;
  return stats;
}

void VersionStoreImpl::CheckInvariants() const {
  index_.CheckInvariants();
  changes_.CheckInvariants();
  log_.CheckInvariants();
  StoreStats counted;
  size_t queued = 0;
  index_.Visit(FromEtcd(absl::string_view("\0", 1), absl::string_view("\0", 1)),
               [&](const KeyNode& node) {
                 RevisionKey last{Revision(0), 0};
                 for (const Version& version : node.versions()) {
                   const RecordHeader& record = log_.Record(version.location());
                   CHECK(record.revision() > last && record.revision().main == version.main());
                   CHECK(record.tombstone() == version.tombstone());
                   CHECK(KeyOfWire(record.wire()) == node.key());
                   last = record.revision();
                   counted.versions += 1;
                   counted.logical_bytes += LogicalBytes(record);
                   counted.stored_hash += record.Hash();
                 }
                 const Version& newest = *node.newest();
                 if (!newest.tombstone()) {
                   counted.live_keys += 1;
                   counted.logical_live_bytes += LogicalBytes(log_.Record(newest.location()));
                   counted.state_hash += log_.Record(newest.location()).Hash();
                 }
                 CHECK(node.queued || (node.versions().size() == 1 && !newest.tombstone()));
                 if (node.queued) ++queued;
                 return true;
               });
  CHECK(queued == compaction_queue_.size() && to_compact_ <= queued);
  CHECK(counted.live_keys == stats_.live_keys && counted.versions == stats_.versions);
  CHECK(counted.logical_bytes == stats_.logical_bytes);
  CHECK(counted.logical_live_bytes == stats_.logical_live_bytes);
  CHECK(counted.state_hash == stats_.state_hash && counted.stored_hash == stats_.stored_hash);
  CHECK(changes_.size() == stats_.versions && stats_.last_change <= current_);
  changes_.VisitFrom({Revision(0), 0}, [&](RevisionKey revision, Location location) {
    CHECK(log_.Record(location).revision() == revision);
    return true;
  });
  CHECK(removed_to_ <= compact_revision_ && compact_revision_ <= current_);
}

}  // namespace tidemark::mvcc
