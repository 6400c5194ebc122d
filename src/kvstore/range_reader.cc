#include "src/kvstore/range_reader.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <utility>

#include "src/base/check.h"
#include "src/kvstore/etcd_errors.h"

namespace tidemark::kvstore {
namespace {

using etcdserverpb::RangeRequest;

constexpr size_t kUnlimited = std::numeric_limits<size_t>::max();

// An item, two runs of an encoded answer, and the room that growing arrays leave unused.
constexpr int64_t kItemHeapBytes = 256;
// From about this size on, values are sent from where they are stored.
constexpr size_t kReferredFromBytes = 1024;
// A record made for keys_only, besides its bytes.
constexpr int64_t kKeyOnlyHeapBytes = 128;

// What etcd calls so: the limit may be pushed down to the scan in key order.
bool IsDefaultOrdering(const RangeRequest& request) {
  return request.sort_order() == RangeRequest::NONE ||
         (request.sort_target() == RangeRequest::KEY &&
          request.sort_order() == RangeRequest::ASCEND);
}

bool HasRevisionFilters(const RangeRequest& request) {
  return request.min_mod_revision() != 0 || request.max_mod_revision() != 0 ||
         request.min_create_revision() != 0 || request.max_create_revision() != 0;
}

bool IsSorted(const RangeRequest& request) {
  return request.sort_target() != RangeRequest::KEY ||
         request.sort_order() == RangeRequest::DESCEND;
}

// One more than the limit, to know whether there was more.
size_t WantedItems(const RangeRequest& request) {
  if (request.count_only()) return 0;
  if (request.limit() <= 0 || !IsDefaultOrdering(request)) return kUnlimited;
  if (HasRevisionFilters(request) && IsSorted(request)) return kUnlimited;
  const uint64_t limit = static_cast<uint64_t>(request.limit());
  return limit >= kUnlimited ? kUnlimited : static_cast<size_t>(limit) + 1;
}

// All at once: whoever asks for another order than the keys' pays with one long step.
template <typename Less>
void SortBy(Less less, RangeItems* items) {
  std::vector<RangeItem> all;
  all.reserve(items->size());
  while (!items->empty()) {
    for (RangeItem& item : items->TakePiece().items) all.push_back(std::move(item));
  }
  std::stable_sort(all.begin(), all.end(), less);
  for (RangeItem& item : all) items->Append(std::move(item));
}

bool KeyIsLess(const RangeItem& a, const RangeItem& b) { return a.key < b.key; }

void Sort(const RangeRequest& request, RangeItems* items) {
  if (!IsSorted(request)) return;
  auto less = [target = request.sort_target()](const RangeItem& a, const RangeItem& b) {
    switch (target) {
      case RangeRequest::VERSION:
        return a.version < b.version;
      case RangeRequest::CREATE:
        return a.create_revision < b.create_revision;
      case RangeRequest::MOD:
        return a.mod_revision < b.mod_revision;
      case RangeRequest::VALUE:
        return a.value < b.value;
      default:
        return KeyIsLess(a, b);
    }
  };
  if (request.sort_order() == RangeRequest::DESCEND) {
    SortBy([&](const RangeItem& a, const RangeItem& b) { return less(b, a); }, items);
  } else {
    SortBy(less, items);
  }
}

void CutToLimit(const RangeRequest& request, RangeResult* result) {
  if (request.limit() > 0 && result->items.size() > static_cast<uint64_t>(request.limit())) {
    result->items.Truncate(static_cast<size_t>(request.limit()));
    result->more = true;
  }
}

void AppendField(uint32_t field_and_type, uint64_t value, std::string* out) {
  if (value == 0) return;
  out->push_back(static_cast<char>(field_and_type));
  for (; value >= 0x80; value >>= 7) out->push_back(static_cast<char>(value | 0x80));
  out->push_back(static_cast<char>(value));
}

// mvccpb.KeyValue without value and, like etcd 3.7, without lease.
// The lease comes along only where etcd had to read the value anyway, to sort by it.
std::string EncodeKeyOnly(const mvcc::KeyValueView& kv, bool with_lease) {
  constexpr uint32_t kKeyField = (1 << 3) | 2, kCreateField = 2 << 3, kModField = 3 << 3,
                     kVersionField = 4 << 3, kLeaseField = 6 << 3;
  constexpr size_t kFramingBytes = 40;
  std::string wire;
  wire.reserve(kv.key.size() + kFramingBytes);
  AppendField(kKeyField, kv.key.size(), &wire);
  wire.append(kv.key.data(), kv.key.size());
  AppendField(kCreateField, static_cast<uint64_t>(kv.create_revision.value()), &wire);
  AppendField(kModField, static_cast<uint64_t>(kv.mod_revision.value()), &wire);
  AppendField(kVersionField, static_cast<uint64_t>(kv.version), &wire);
  if (with_lease && kv.lease.value() != 0) {
    AppendField(kLeaseField, static_cast<uint64_t>(kv.lease.value()), &wire);
  }
  return wire;
}

// Keeps the stored record too when sorting by value needs it until the end.
struct KeyOnlyRecord {
  std::string wire;
  SharedBytes record;
};

}  // namespace

RangeReader::RangeReader(const mvcc::VersionStore& store, const RangeRequest& request, Revision at,
                         RangeCount count)
    : store_(store),
      request_(request),
      at_(at),
      range_(mvcc::FromEtcd(request.key(), request.range_end())),
      count_(count),
      wanted_items_(WantedItems(request)),
      reading_(!request.count_only()) {}

bool RangeReader::Step(int64_t max_keys) {
  CHECK(max_keys > 0);
  if (range_.Empty()) return true;
  if (reading_) {
    if (!ReadStep(max_keys)) return false;
    reading_ = false;
    Finish();
    if (count_ == RangeCount::kNone) return true;
    result_.count = seen_;
    return saw_all_;  // otherwise the rest is only counted
  }
  result_.count += store_.CountStep(range_, at_, max_keys, &resume_key_);
  return resume_key_.empty();
}

// True when no more items are needed.
bool RangeReader::ReadStep(int64_t max_keys) {
  const auto has_enough = [this] { return result_.items.size() >= wanted_items_; };
  store_.VisitStep(range_, at_, max_keys, &resume_key_, [&](const mvcc::KeyValueView& kv) {
    if (has_enough()) return false;
    ++seen_;
    if (Accepts(kv)) AddItem(kv);
    return true;
  });
  saw_all_ = resume_key_.empty();
  return saw_all_ || has_enough();
}

bool RangeReader::Accepts(const mvcc::KeyValueView& kv) const {
  if (!HasRevisionFilters(request_)) return true;
  const int64_t mod = kv.mod_revision.value(), create = kv.create_revision.value();
  auto outside = [](int64_t value, int64_t min, int64_t max) {
    return (max != 0 && value > max) || (min != 0 && value < min);
  };
  return !outside(mod, request_.min_mod_revision(), request_.max_mod_revision()) &&
         !outside(create, request_.min_create_revision(), request_.max_create_revision());
}

void RangeReader::AddItem(const mvcc::KeyValueView& kv) {
  RangeItem item;
  item.create_revision = kv.create_revision;
  item.mod_revision = kv.mod_revision;
  item.version = kv.version;
  if (!request_.keys_only()) {
    item.wire = store_.Share(kv);
    item.key = kv.key;
    item.value = kv.value;
    heap_bytes_ += kItemHeapBytes;
    if (item.wire.size() < kReferredFromBytes) {
      heap_bytes_ += static_cast<int64_t>(item.wire.size());
    }
  } else {
    auto record = std::make_shared<KeyOnlyRecord>();
    const bool by_value = request_.sort_target() == RangeRequest::VALUE;
    record->wire = EncodeKeyOnly(kv, by_value);
    if (by_value) {
      record->record = store_.Share(kv);
      item.value = kv.value;
    }
    // The key is the first field: one tag byte, its length, its bytes.
    size_t key_offset = 2;
    for (size_t rest = kv.key.size(); rest >= 0x80; rest >>= 7) ++key_offset;
    absl::string_view wire = record->wire;
    heap_bytes_ += kItemHeapBytes + kKeyOnlyHeapBytes + 2 * static_cast<int64_t>(wire.size());
    item.key = wire.substr(key_offset, kv.key.size());
    item.wire = SharedBytes(wire, std::move(record));
  }
  result_.items.Append(std::move(item));
}

void RangeReader::Finish() {
  Sort(request_, &result_.items);
  CutToLimit(request_, &result_);
}

RangeResult RangeReader::Take() && { return std::move(result_); }

RangeResult ReadRange(const mvcc::VersionStore& store, const RangeRequest& request, Revision at) {
  constexpr int64_t kStepKeys = 1 << 20;
  RangeReader reader(store, request, at);
  while (!reader.Step(kStepKeys)) {
  }
  return std::move(reader).Take();
}

absl::StatusOr<Revision> RevisionToRead(const RangeRequest& request, Revision current,
                                        Revision compacted) {
  if (request.revision() <= 0) return current;
  const Revision wanted(request.revision());
  if (wanted > current) return ErrFutureRevision();
  if (wanted < compacted) return ErrCompacted();
  return wanted;
}

absl::Status CheckRevisionInTxn(const RangeRequest& request, Revision current, Revision compacted) {
  const Revision wanted(request.revision());
  if (wanted.value() == 0) return absl::OkStatus();
  if (wanted > current) return ErrFutureRevision();
  if (wanted < compacted) return ErrCompacted();
  return absl::OkStatus();
}

RangeRequest RangeForOnePartition(const RangeRequest& whole) {
  RangeRequest part = whole;
  if (whole.sort_order() != RangeRequest::NONE || whole.sort_target() == RangeRequest::KEY) {
    return part;
  }
  // etcd sorts only the first limit + 1 keys here, so the sort has to wait for the merge.
  if (HasRevisionFilters(whole)) {
    part.set_limit(0);
  } else if (whole.limit() > 0 && whole.limit() < std::numeric_limits<int64_t>::max()) {
    part.set_limit(whole.limit() + 1);
  }
  if (whole.sort_target() == RangeRequest::VALUE && whole.keys_only()) {
    part.set_limit(0);
    part.set_sort_order(RangeRequest::ASCEND);  // makes the parts keep their values
  } else {
    part.set_sort_target(RangeRequest::KEY);
  }
  return part;
}

RangeResult MergeRanges(std::vector<RangeResult> parts, const RangeRequest& whole) {
  RangeResult merged;
  std::vector<RangeItems> lists;
  const RangeRequest part_request = RangeForOnePartition(whole);
  for (RangeResult& part : parts) {
    merged.count += part.count;
    merged.more = merged.more || part.more;
    merged.charge.Absorb(std::move(part.charge));
    if (IsSorted(part_request)) SortBy(KeyIsLess, &part.items);
    lists.push_back(std::move(part.items));
  }
  merged.items = MergeByKey(std::move(lists));
  merged.items.Truncate(WantedItems(whole));
  Sort(whole, &merged.items);
  CutToLimit(whole, &merged);
  return merged;
}

}  // namespace tidemark::kvstore
