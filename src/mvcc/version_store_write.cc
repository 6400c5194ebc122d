#include "src/base/check.h"
#include "src/base/failpoint.h"
#include "src/mvcc/version_store_impl.h"

namespace tidemark::mvcc {

void VersionStoreImpl::BeginEntry(Revision main) {
  CHECK(!entry_open_ && main > current_);
  CHECK(restored_parts_.empty());
  leased_.reset();  // they may change from now on
  entry_open_ = true;
  events_.clear();
  last_change_ = {main, -1};
  last_location_ = Location();
}

void VersionStoreImpl::CheckNextChange(int64_t sub) {
  CHECK(entry_open_ && sub > last_change_.sub);
  last_change_.sub = sub;
}

std::optional<KeyValue> VersionStoreImpl::Put(int64_t sub, absl::string_view key,
                                              absl::string_view value, LeaseId lease) {
  CheckNextChange(sub);
  KeyNode* node = index_.FindOrCreate(key);
  std::optional<KeyValue> replaced;
  if (const Version* newest = node->newest(); newest != nullptr && !newest->tombstone()) {
    replaced = Load(newest->location());
  }
  KeyValueFields fields;
  fields.key = key;
  fields.create_revision = replaced ? replaced->create_revision.value() : last_change_.main.value();
  fields.mod_revision = last_change_.main.value();
  fields.version = replaced ? replaced->version + 1 : 1;
  fields.value = value;
  fields.lease = lease.value();
  const Location location = log_.Append(last_change_, false, fields);
  BecomeNewest(log_.Record(location),
               replaced ? &log_.Record(node->newest()->location()) : nullptr);
  // What the same entry has created is created by this change as well, to a watcher.
  const bool creates = fields.create_revision == fields.mod_revision;
  AddEvent(*node, last_change_, Event::Type::kPut, location, creates);
  AddVersion(node, last_change_, false, location);
  return replaced;
}

KeyValue VersionStoreImpl::Delete(int64_t sub, absl::string_view key) {
  CheckNextChange(sub);
  KeyNode* node = index_.Find(key);
  CHECK(node != nullptr && !node->newest()->tombstone());
  KeyValue deleted = Load(node->newest()->location());
  KeyValueFields fields;
  fields.key = key;
  fields.mod_revision = last_change_.main.value();
  const Location location = log_.Append(last_change_, true, fields);
  BecomeNewest(log_.Record(location), &log_.Record(node->newest()->location()));
  AddEvent(*node, last_change_, Event::Type::kDelete, location, /*creates=*/false);
  AddVersion(node, last_change_, true, location);
  return deleted;
}

// `replaced`: the version that was alive until now.
void VersionStoreImpl::BecomeNewest(const RecordHeader& record, const RecordHeader* replaced) {
  if (replaced != nullptr) {
    stats_.live_keys -= 1;
    stats_.logical_live_bytes -= LogicalBytes(*replaced);
    stats_.state_hash -= replaced->Hash();
  }
  if (record.tombstone()) return;
  stats_.live_keys += 1;
  stats_.logical_live_bytes += LogicalBytes(record);
  stats_.state_hash += record.Hash();
}

void VersionStoreImpl::AddEvent(const KeyNode& node, RevisionKey revision, Event::Type type,
                                Location location, bool creates) {
  Event& event = events_.emplace_back();
  event.revision = revision;
  event.type = type;
  event.kv = ShareWire(location);
  event.key = KeyOfWire(event.kv.view());
  if (!creates) event.prev_kv = PreviousOf(node, revision.main);
}

void VersionStoreImpl::AddVersion(KeyNode* node, RevisionKey revision, bool tombstone,
                                  Location location) {
  node->PushBack(Version(revision.main, tombstone, location));
  changes_.Append(revision, location);
  last_location_ = location;
  const RecordHeader& record = log_.Record(location);
  stats_.versions += 1;
  stats_.logical_bytes += LogicalBytes(record);
  stats_.stored_hash += record.Hash();
  stats_.last_change = revision.main;
  if (!node->queued && (tombstone || node->versions().size() > 1)) {
    node->queued = true;
    compaction_queue_.push_back(node);
  }
}

absl::Span<const Event> VersionStoreImpl::CommitEntry() {
  CHECK(entry_open_);
  FAIL_POINT("mvcc.before_commit_mark");
  if (!last_location_.null()) {
    log_.MarkCommitted(last_location_);
    FAIL_POINT("mvcc.before_publish");
    Publish();
  }
  entry_open_ = false;
  current_ = last_change_.main;
  return events_;
}

void VersionStoreImpl::ForgetEvents() {
  CHECK(!entry_open_);
  constexpr size_t kKeptEvents = 4096;
  if (events_.capacity() > kKeptEvents) {
    std::vector<Event>().swap(events_);
  } else {
    events_.clear();
  }
}

void VersionStoreImpl::AdvanceTo(Revision revision) {
  CHECK(!entry_open_ && revision >= current_);
  current_ = revision;
}

}  // namespace tidemark::mvcc
