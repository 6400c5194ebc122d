#include "src/journal/entry_codec.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "src/base/check.h"
#include "src/base/little_endian.h"

namespace tidemark::journal {
namespace {

constexpr uint16_t kBodyVersion = 1;
constexpr uint8_t kFlagChangesKeys = 1;
constexpr size_t kHeadBytes = 16;
constexpr size_t kRowBytes = 24;
constexpr size_t kPartitionBytes = 12;

absl::Status Damaged(const BlockPlace& place, absl::string_view what) {
  return absl::DataLossError(
      absl::StrCat("block of entries from position ", place.first.value(), ": ", what));
}

bool KnownKind(uint8_t kind) {
  return kind == static_cast<uint8_t>(EntryKind::kData) ||
         kind == static_cast<uint8_t>(EntryKind::kClaim);
}

// Reads one row; the payload's size goes to `payload_size`. False when it makes no sense.
bool ReadRow(ByteReader* in, Entry* entry, uint32_t* payload_size) {
  uint8_t kind = in->Read<uint8_t>();
  uint8_t flags = in->Read<uint8_t>();
  uint16_t partition_count = in->Read<uint16_t>();
  *payload_size = in->Read<uint32_t>();
  entry->origin = OriginId(in->Read<uint64_t>());
  entry->origin_number = in->Read<uint64_t>();
  if (in->failed() || !KnownKind(kind) || (flags & ~kFlagChangesKeys) != 0) return false;
  if (partition_count > kPartitionsPerEntryMax ||
      in->rest().size() < size_t{partition_count} * kPartitionBytes) {
    return false;
  }
  entry->kind = static_cast<EntryKind>(kind);
  entry->changes_keys = (flags & kFlagChangesKeys) != 0;
  entry->partitions.reserve(partition_count);
  for (uint16_t i = 0; i < partition_count; ++i) {
    PartitionId partition(in->Read<uint32_t>());
    entry->partitions.push_back({partition, Epoch(in->Read<uint64_t>())});
  }
  return true;
}

}  // namespace

std::string EncodeEntriesHead(Revision revision_before, absl::Span<const Entry> entries) {
  CHECK(!entries.empty());
  std::string out;
  out.reserve(kHeadBytes + entries.size() * (kRowBytes + kPartitionBytes));
  AppendLittle(&out, kBodyVersion);
  AppendLittle(&out, uint16_t{0});
  AppendLittle(&out, static_cast<uint32_t>(entries.size()));
  AppendLittle(&out, revision_before.value());
  for (const Entry& entry : entries) {
    CHECK(entry.partitions.size() <= kPartitionsPerEntryMax);
    CHECK(entry.payload.size() <= UINT32_MAX);
    char row[kRowBytes];
    row[0] = static_cast<char>(entry.kind);
    row[1] = static_cast<char>(entry.changes_keys ? kFlagChangesKeys : 0);
    StoreLittle(row + 2, static_cast<uint16_t>(entry.partitions.size()));
    StoreLittle(row + 4, static_cast<uint32_t>(entry.payload.size()));
    StoreLittle(row + 8, entry.origin.value());
    StoreLittle(row + 16, entry.origin_number);
    out.append(row, kRowBytes);
    for (const PartitionEpoch& named : entry.partitions) {
      AppendLittle(&out, named.partition.value());
      AppendLittle(&out, named.epoch.value());
    }
  }
  return out;
}

absl::StatusOr<EntryBlock> DecodeEntries(const BlockPlace& place, absl::string_view body,
                                         std::shared_ptr<const void> owner) {
  ByteReader in(body);
  uint16_t version = in.Read<uint16_t>();
  in.Read<uint16_t>();  // reserved
  uint32_t entry_count = in.Read<uint32_t>();
  Revision revision(in.Read<int64_t>());
  if (in.failed()) return Damaged(place, "shorter than its head");
  if (version != kBodyVersion) {
    return Damaged(place,
                   absl::StrCat("format version ", version, ", this program knows ", kBodyVersion));
  }
  if (entry_count != place.entry_count || entry_count == 0 ||
      in.rest().size() < size_t{entry_count} * kRowBytes) {
    return Damaged(place, absl::StrCat("entry count ", entry_count));
  }
  if (revision < kEmptyStoreRevision) return Damaged(place, "revision below an empty store's");
  if (revision.value() > INT64_MAX - int64_t{entry_count}) {
    return Damaged(place, absl::StrCat("revision ", revision.value(), " leaves no room"));
  }

  EntryBlock block;
  block.entries.resize(entry_count);
  std::vector<uint32_t> payload_sizes(entry_count);
  Position position = place.first;
  for (uint32_t i = 0; i < entry_count; ++i) {
    Entry& entry = block.entries[i];
    if (!ReadRow(&in, &entry, &payload_sizes[i])) {
      return Damaged(place, absl::StrCat("row of entry ", position.value()));
    }
    if (entry.changes_keys) revision = revision.Next();
    entry.position = position;
    entry.term = place.term;
    entry.revision = revision;
    position = position.Next();
  }
  for (uint32_t i = 0; i < entry_count; ++i) {
    block.entries[i].payload = in.ReadBytes(payload_sizes[i]);
    block.payload_bytes += payload_sizes[i];
  }
  if (in.failed() || !in.rest().empty()) return Damaged(place, "payloads do not fill it");
  block.tail = {position.Previous(), revision, place.term};
  block.owner = std::move(owner);
  return block;
}

}  // namespace tidemark::journal
