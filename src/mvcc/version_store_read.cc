#include <utility>

#include "src/base/check.h"
#include "src/mvcc/version_store_impl.h"

namespace tidemark::mvcc {
namespace {

KeyValueFields Decoded(const RecordHeader& record) {
  KeyValueFields fields;
  CHECK(DecodeKeyValue(record.wire(), &fields));
  return fields;
}

bool Everything(const KeyRangeView& range) {
  return range.to_infinity && !range.single &&
         (range.begin.empty() || range.begin == absl::string_view("\0", 1));
}

}  // namespace

absl::Status VersionStoreImpl::CheckReadable(Revision at) const {
  if (at == kLatest) return absl::OkStatus();
  if (at > current_) {
    return absl::OutOfRangeError("etcdserver: mvcc: required revision is a future revision");
  }
  if (at < compact_revision_) {
    return absl::OutOfRangeError("etcdserver: mvcc: required revision has been compacted");
  }
  return absl::OkStatus();
}

void VersionStoreImpl::CheckedReadable(Revision at) const {
  CHECK(at == kLatest || (at <= current_ && at >= compact_revision_));
}

SharedBytes VersionStoreImpl::ShareWire(Location location) const {
  return log_.Share(location, log_.Record(location).wire());
}

KeyValue VersionStoreImpl::Load(Location location) const {
  const KeyValueFields fields = Decoded(log_.Record(location));
  KeyValue kv;
  kv.key = fields.key;
  kv.value = fields.value;
  kv.create_revision = Revision(fields.create_revision);
  kv.mod_revision = Revision(fields.mod_revision);
  kv.version = fields.version;
  kv.lease = LeaseId(fields.lease);
  kv.wire = ShareWire(location);
  return kv;
}

std::optional<KeyValue> VersionStoreImpl::Get(absl::string_view key, Revision at) const {
  CheckedReadable(at);
  const KeyNode* node = index_.Find(key);
  if (node == nullptr) return std::nullopt;
  const Version* version = node->LiveAt(at);
  if (version == nullptr) return std::nullopt;
  return Load(version->location());
}

void VersionStoreImpl::Visit(const KeyRangeView& range, Revision at,
                             absl::FunctionRef<bool(const KeyValueView&)> visitor) const {
  CheckedReadable(at);
  index_.Visit(range, [&](const KeyNode& node) { return VisitNode(node, at, visitor); });
}

void VersionStoreImpl::VisitStep(const KeyRangeView& range, Revision at, int64_t max_keys,
                                 std::string* resume_key,
                                 absl::FunctionRef<bool(const KeyValueView&)> visitor) const {
  CheckedReadable(at);
  VisitNodes(range, max_keys, resume_key,
             [&](const KeyNode& node) { return VisitNode(node, at, visitor); });
}

bool VersionStoreImpl::VisitNode(const KeyNode& node, Revision at,
                                 absl::FunctionRef<bool(const KeyValueView&)> visitor) const {
  const Version* version = node.LiveAt(at);
  if (version == nullptr) return true;
  const Location outer = std::exchange(visited_, version->location());  // visitors may visit again
  const RecordHeader& record = log_.Record(visited_);
  const KeyValueFields fields = Decoded(record);
  const bool goes_on = visitor(KeyValueView{
      fields.key, fields.value, Revision(fields.create_revision), Revision(fields.mod_revision),
      fields.version, LeaseId(fields.lease), record.wire()});
  visited_ = outer;
  return goes_on;
}

template <typename Visitor>
void VersionStoreImpl::VisitNodes(const KeyRangeView& range, int64_t max_keys,
                                  std::string* resume_key, Visitor visitor) const {
  CHECK(max_keys > 0);
  KeyRangeView rest = range;
  const std::string begin = std::exchange(*resume_key, std::string());
  if (!begin.empty()) {
    CHECK(range.Contains(begin));
    rest.begin = begin;
  }
  int64_t looked_at = 0;
  index_.Visit(rest, [&](const KeyNode& node) {
    if (looked_at++ < max_keys && visitor(node)) return true;
    *resume_key = std::string(node.key());
    return false;
  });
}

SharedBytes VersionStoreImpl::Share(const KeyValueView& view) const {
  CHECK(!visited_.null() && log_.Record(visited_).wire().data() == view.wire.data());
  return log_.Share(visited_, view.wire);
}

int64_t VersionStoreImpl::CountStep(const KeyRangeView& range, Revision at, int64_t max_keys,
                                    std::string* resume_key) const {
  CheckedReadable(at);
  if (Everything(range) && at == kLatest && resume_key->empty()) return stats_.live_keys;
  int64_t count = 0;
  VisitNodes(range, max_keys, resume_key, [&](const KeyNode& node) {
    if (node.LiveAt(at) != nullptr) ++count;
    return true;
  });
  return count;
}

bool VersionStoreImpl::FindLiveStep(Revision at, int64_t max_keys, std::string* resume_key) const {
  const KeyRangeView everything = FromEtcd(absl::string_view("\0", 1), absl::string_view("\0", 1));
  bool found = false;
  VisitNodes(everything, max_keys, resume_key, [&](const KeyNode& node) {
    found = node.LiveAt(at) != nullptr;
    return !found;
  });
  return found;
}

std::optional<SharedBytes> VersionStoreImpl::PreviousOf(const KeyNode& node, Revision main) const {
  const Revision before = main.Previous();
  if (before < compact_revision_) return std::nullopt;
  const Version* version = node.LiveAt(before);
  if (version == nullptr) return std::nullopt;
  return ShareWire(version->location());
}

Event VersionStoreImpl::MakeEvent(RevisionKey revision, Location location,
                                  bool with_prev_kv) const {
  const RecordHeader& record = log_.Record(location);
  Event event;
  event.revision = revision;
  event.type = record.tombstone() ? Event::Type::kDelete : Event::Type::kPut;
  event.kv = log_.Share(location, record.wire());
  event.key = KeyOfWire(record.wire());
  const bool creates = !record.tombstone() && Load(location).create_revision == revision.main;
  if (with_prev_kv && !creates) {
    const KeyNode* node = index_.Find(event.key);
    CHECK(node != nullptr);
    event.prev_kv = PreviousOf(*node, revision.main);
  }
  return event;
}

RevisionKey VersionStoreImpl::VisitEvents(RevisionKey from, Revision upto,
                                          const KeyRangeView& range, bool with_prev_kv,
                                          int64_t max_scanned,
                                          absl::FunctionRef<bool(const Event&)> visitor) const {
  CHECK(from.main >= compact_revision_ && upto <= current_ && max_scanned > 0);
  const RevisionKey all_seen{upto.Next(), 0};
  RevisionKey next = all_seen;
  int64_t scanned = 0;
  changes_.VisitFrom(from, [&](RevisionKey revision, Location location) {
    if (revision.main > upto) return false;
    if (scanned++ == max_scanned) {
      next = revision;
      return false;
    }
    const absl::string_view key = KeyOfWire(log_.Record(location).wire());
    if (!range.Contains(key)) return true;
    // What compaction is about to remove is gone already, whatever removal has got to.
    if (revision.main == compact_revision_ &&
        index_.Find(key)->NewestAt(compact_revision_)->location() != location) {
      return true;
    }
    if (visitor(MakeEvent(revision, location, with_prev_kv))) return true;
    next = {revision.main, revision.sub + 1};
    return false;
  });
  return next > all_seen ? all_seen : next;
}

}  // namespace tidemark::mvcc
