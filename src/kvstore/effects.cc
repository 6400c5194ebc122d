#include "src/kvstore/effects.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "src/base/check.h"
#include "src/base/failpoint.h"

namespace tidemark::kvstore {
namespace {

constexpr char kVersion = 1;

enum ItemKind : uint8_t {
  kKeyChanges = 1,
  kLeaseGrant = 2,
  kLeaseRevoke = 3,
  kLeaseRemaining = 4,
  kCompaction = 5,
  kAlarm = 6,
};

constexpr uint8_t kDeleteFlag = 1;
constexpr uint8_t kLeaseFlag = 2;

size_t VarintSize(uint64_t value) {
  size_t size = 1;
  for (; value >= 0x80; value >>= 7) ++size;
  return size;
}

void AppendVarint(uint64_t value, std::string* out) {
  for (; value >= 0x80; value >>= 7) out->push_back(static_cast<char>(value | 0x80));
  out->push_back(static_cast<char>(value));
}

void AppendSigned(int64_t value, std::string* out) {
  AppendVarint((static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63), out);
}

void AppendBytes(absl::string_view bytes, std::string* out) {
  AppendVarint(bytes.size(), out);
  out->append(bytes.data(), bytes.size());
}

void AppendItem(ItemKind kind, absl::string_view body, std::string* out) {
  out->push_back(static_cast<char>(kind));
  AppendBytes(body, out);
}

void AppendChange(int64_t sub, bool is_delete, absl::string_view key, absl::string_view value,
                  LeaseId lease, std::string* out) {
  const bool has_lease = !is_delete && lease.value() != 0;
  out->push_back(static_cast<char>((is_delete ? kDeleteFlag : 0) | (has_lease ? kLeaseFlag : 0)));
  AppendVarint(static_cast<uint64_t>(sub), out);
  AppendBytes(key, out);
  if (!is_delete) AppendBytes(value, out);
  if (has_lease) AppendSigned(lease.value(), out);
}

// Reads from the front of a view; after the first failure everything reads as zero.
class Reader {
 public:
  explicit Reader(absl::string_view bytes) : rest_(bytes) {}

  bool ok() const { return ok_; }
  bool done() const { return rest_.empty(); }
  size_t remaining_bytes() const { return rest_.size(); }

  uint8_t Byte() {
    if (rest_.empty()) return Fail();
    const uint8_t byte = static_cast<uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return byte;
  }
  uint64_t Varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const uint8_t byte = Byte();
      if (!ok_) return 0;
      if (shift == 63 && byte > 1) return Fail();
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    return Fail();
  }
  int64_t Signed() {
    const uint64_t value = Varint();
    return static_cast<int64_t>((value >> 1) ^ (~(value & 1) + 1));
  }
  absl::string_view Bytes() {
    const uint64_t size = Varint();
    if (size > rest_.size() && !PLANTED_BUG("effects_size_unchecked")) {
      Fail();
      return {};
    }
    const absl::string_view bytes(rest_.data(), size);
    rest_.remove_prefix(size);
    return bytes;
  }

 private:
  uint8_t Fail() {
    ok_ = false;
    rest_ = {};
    return 0;
  }
  absl::string_view rest_;
  bool ok_ = true;
};

absl::Status Malformed(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("malformed effects: ", what));
}

absl::Status DecodeChanges(Reader body, DecodedEffects* out) {
  int64_t previous_sub = -1;
  while (!body.done()) {
    KeyChangeView change;
    const uint8_t flags = body.Byte();
    if ((flags & ~(kDeleteFlag | kLeaseFlag)) != 0) return Malformed("flags of a change");
    change.is_delete = (flags & kDeleteFlag) != 0;
    change.sub = static_cast<int64_t>(body.Varint());
    change.key = body.Bytes();
    if (!change.is_delete) change.value = body.Bytes();
    if ((flags & kLeaseFlag) != 0) change.lease = LeaseId(body.Signed());
    if (!body.ok() || change.key.empty()) return Malformed("change");
    // A lease is named only where there is one.
    const bool has_lease = (flags & kLeaseFlag) != 0;
    if (has_lease && (change.is_delete || change.lease.value() == 0)) return Malformed("lease");
    if (change.sub <= previous_sub) return Malformed("order of changes");
    previous_sub = change.sub;
    out->changes.push_back(change);
  }
  return absl::OkStatus();
}

absl::Status DecodeNodeEffect(uint8_t kind, Reader body, DecodedEffects* out) {
  NodeEffect effect;
  switch (kind) {
    case kLeaseGrant:
      effect.kind = NodeEffect::Kind::kLeaseGrant;
      effect.lease = LeaseId(body.Signed());
      effect.ttl_seconds = body.Signed();
      break;
    case kLeaseRevoke:
      effect.kind = NodeEffect::Kind::kLeaseRevoke;
      effect.lease = LeaseId(body.Signed());
      break;
    case kLeaseRemaining:
      effect.kind = NodeEffect::Kind::kLeaseRemaining;
      while (body.ok() && !body.done()) {
        LeaseRemainingEffect lease;
        lease.id = LeaseId(body.Signed());
        lease.remaining_seconds = body.Signed();
        effect.remaining.push_back(lease);
      }
      break;
    case kCompaction:
      effect.kind = NodeEffect::Kind::kCompaction;
      effect.compaction = Revision(body.Signed());
      break;
    case kAlarm: {
      effect.kind = NodeEffect::Kind::kAlarm;
      effect.alarm.member_id = body.Varint();
      const int64_t type = body.Signed();
      const uint8_t raised = body.Byte();
      effect.alarm.type = static_cast<int32_t>(type);
      effect.alarm.raised = raised == 1;
      if (effect.alarm.type != type || raised > 1) return Malformed("alarm");
      break;
    }
    default:
      return Malformed(absl::StrCat("unknown kind ", kind));
  }
  if (!body.ok() || !body.done()) return Malformed(absl::StrCat("item of kind ", kind));
  out->node_effects.push_back(std::move(effect));
  return absl::OkStatus();
}

}  // namespace

EffectsWriter::EffectsWriter() { payload_.push_back(kVersion); }

void EffectsWriter::AddKeyChanges(PartitionId partition, absl::Span<const KeyChange> changes) {
  CHECK(!changes.empty());
  constexpr size_t kMaxFramingBytes = 40;  // of one change
  size_t size_bound = kMaxFramingBytes;
  for (const KeyChange& change : changes) {
    size_bound += kMaxFramingBytes + change.key.size() + change.value.size();
  }
  std::string body;
  body.reserve(size_bound);
  payload_.reserve(payload_.size() + size_bound + kMaxFramingBytes);
  AppendVarint(partition.value(), &body);
  int64_t previous_sub = -1;
  for (const KeyChange& change : changes) {
    CHECK(!change.key.empty() && change.sub > previous_sub);
    previous_sub = change.sub;
    AppendChange(change.sub, change.is_delete, change.key, change.value, change.lease, &body);
  }
  AppendItem(kKeyChanges, body, &payload_);
}

void EffectsWriter::AddLeaseGrant(LeaseGrantEffect grant) {
  std::string body;
  AppendSigned(grant.id.value(), &body);
  AppendSigned(grant.ttl_seconds, &body);
  AppendItem(kLeaseGrant, body, &payload_);
}

void EffectsWriter::AddLeaseRevoke(LeaseId id) {
  std::string body;
  AppendSigned(id.value(), &body);
  AppendItem(kLeaseRevoke, body, &payload_);
}

void EffectsWriter::AddLeaseRemaining(absl::Span<const LeaseRemainingEffect> leases) {
  std::string body;
  for (const LeaseRemainingEffect& lease : leases) {
    AppendSigned(lease.id.value(), &body);
    AppendSigned(lease.remaining_seconds, &body);
  }
  AppendItem(kLeaseRemaining, body, &payload_);
}

void EffectsWriter::AddCompaction(Revision revision) {
  std::string body;
  AppendSigned(revision.value(), &body);
  AppendItem(kCompaction, body, &payload_);
}

void EffectsWriter::AddAlarm(AlarmEffect alarm) {
  std::string body;
  AppendVarint(alarm.member_id, &body);
  AppendSigned(alarm.type, &body);
  body.push_back(alarm.raised ? 1 : 0);
  AppendItem(kAlarm, body, &payload_);
}

std::string EncodeSinglePut(PartitionId partition, absl::string_view key, absl::string_view value,
                            LeaseId lease) {
  CHECK(!key.empty());
  constexpr size_t kMaxFraming = 64;  // flags, sub, lengths, lease
  size_t body_size = VarintSize(partition.value()) + 2 + VarintSize(key.size()) + key.size() +
                     VarintSize(value.size()) + value.size();
  std::string payload;
  payload.reserve(body_size + kMaxFraming);
  payload.push_back(kVersion);
  payload.push_back(kKeyChanges);
  const int64_t id = lease.value();
  if (id != 0) {
    body_size += VarintSize((static_cast<uint64_t>(id) << 1) ^ static_cast<uint64_t>(id >> 63));
  }
  AppendVarint(body_size, &payload);
  const size_t body_begin = payload.size();
  AppendVarint(partition.value(), &payload);
  AppendChange(/*sub=*/0, /*is_delete=*/false, key, value, lease, &payload);
  CHECK(payload.size() == body_begin + body_size);
  return payload;
}

absl::StatusOr<DecodedEffects> DecodeEffects(absl::string_view payload, PartitionId partition) {
  Reader reader(payload);
  if (const uint8_t version = reader.Byte(); version != kVersion) {
    return Malformed(absl::StrCat("version ", version));
  }
  DecodedEffects effects;
  bool found_own_changes = false;
  while (!reader.done()) {
    const uint8_t kind = reader.Byte();
    Reader body(reader.Bytes());
    if (!reader.ok()) return Malformed("length of an item");
    if (kind != kKeyChanges) {
      if (absl::Status s = DecodeNodeEffect(kind, body, &effects); !s.ok()) return s;
      continue;
    }
    const uint64_t section = body.Varint();
    if (!body.ok() || section > UINT32_MAX || body.done()) return Malformed("section");
    if (section != partition.value()) continue;
    if (std::exchange(found_own_changes, true)) return Malformed("second section of a partition");
    if (absl::Status s = DecodeChanges(body, &effects); !s.ok()) return s;
  }
  if (!reader.ok()) return Malformed("truncated");
  return effects;
}

}  // namespace tidemark::kvstore
