// The memory that a process left: its segments and their table, edited. Scanned and merged as
// bytes, then adopted by a store.
//
// Whatever was done: nothing but DataLoss or NotFound; what is adopted keeps the store's invariants
// and can be started, written to and compacted; and where no checksum was put right again, it is
// nothing that was not there before.
// Input: edits, see Edit.
#include <algorithm>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "src/base/heap_mapper_for_test.h"
#include "src/mvcc/segment.h"
#include "src/mvcc/segment_recovery.h"
#include "src/mvcc/version_store.h"
#include "tests/fuzz/fuzz_target.h"

namespace tidemark::mvcc {
namespace {

constexpr uint64_t kIdentity = 77;
constexpr char kTable[] = "p1-table";
using Regions = std::map<std::string, std::string>;  // content by name
using Stored = std::map<RevisionKey, std::string>;   // wire by revision

struct Original {
  Regions regions;
  // Where the records of each segment begin.
  std::map<std::string, std::vector<size_t>> records;
  Stored stored;
  Revision last_change;
};

std::unique_ptr<VersionStore> NewStore(MemoryMapper& memory) {
  return VersionStore::Create({.name = "p1", .identity = kIdentity, .segment_size_bytes = 4096},
                              memory);
}

void FinishStart(VersionStore& store) {
  store.FinishStart({.current = std::max(kEmptyStoreRevision, store.stats().last_change),
                     .compacted = kNeverCompacted,
                     .last_change = Revision(0)});
}

Stored ReadStored(const VersionStore& store) {
  Stored stored;
  RevisionKey next{Revision(0), 0};
  while (next.main <= store.current_revision()) {
    next = store.VisitStored(next, 100, [&](const StoredRecord& record) {
      CHECK(stored.empty() || stored.rbegin()->first < record.revision);
      stored[record.revision] = absl::StrCat(record.tombstone ? "-" : "+", record.wire.view());
    });
  }
  return stored;
}

// Two or three full segments of the fresh stream, one open, one of survivors.
void Fill(VersionStore& store) {
  for (int64_t main = 2; main < 60; ++main) {
    store.BeginEntry(Revision(main));
    const std::string key = absl::StrCat("key", main % 9);
    if (main % 9 == 4 && store.Get(key, kLatest)) {
      store.Delete(0, key);
    } else {
      store.Put(0, key, std::string(static_cast<size_t>(main * 37 % 300), 'v'), LeaseId(0));
    }
    if (main % 5 == 0) store.Put(1, absl::StrCat("rare", main), "x", LeaseId(3));
    store.CommitEntry();
    if (main == 40) store.Compact(Revision(36));
    if (main > 40) store.CompactStep(4, kLatest);
  }
}

Original Make() {
  Original original;
  HeapMapper memory;
  {
    std::unique_ptr<VersionStore> store = NewStore(memory);
    CHECK(store->StartEmpty().ok());
    FinishStart(*store);
    Fill(*store);
    original.stored = ReadStored(*store);
    original.last_change = store->stats().last_change;
  }
  for (const std::string& name : memory.Leftovers()) {
    const absl::Span<char> bytes = memory.Bytes(name);
    original.regions[name] = std::string(bytes.data(), bytes.size());
    if (name == kTable) continue;
    std::vector<size_t>& records = original.records[name];
    size_t offset = Segment::kFirstOffset;
    while (offset + sizeof(RecordHeader) <= bytes.size()) {
      const auto* record = reinterpret_cast<const RecordHeader*>(bytes.data() + offset);
      if (record->wire_size == 0) break;
      records.push_back(offset);
      offset += RecordSizeBytes(record->wire_size);
    }
  }
  CHECK(original.regions.size() >= 4);
  return original;
}

// The region's bytes, aligned as mapped ones are.
struct Place {
  absl::Span<char> bytes;
  const std::vector<size_t>* records = nullptr;  // nullptr: the table
};

void RepairSegment(Place& place) {
  auto* header = reinterpret_cast<SegmentHeader*>(place.bytes.data());
  header->checksum = header->ComputeChecksum();
}

void RepairRecord(Place& place, size_t offset) {
  auto* record = reinterpret_cast<RecordHeader*>(place.bytes.data() + offset);
  if (record->wire_size > place.bytes.size() - offset - sizeof(RecordHeader)) return;
  const bool was_committed = record->committed();
  const bool was_dead = record->dead();
  record->checksum = record->ComputeChecksum();
  if (was_committed) record->mark = RecordHeader::CommitMarkOf(record->checksum);
  if (was_dead) record->mark = RecordHeader::DeadMarkOf(record->checksum);
}

// Bytes: kind, region, record (or a word of the table), offset in it, value. Returns whether what
// was not written by a store could pass for it now.
bool Edit(fuzz::Input& in, HeapMapper& memory, const Original& original) {
  const std::vector<std::string> names = memory.Leftovers();
  if (names.empty()) return !in.Bytes(5).empty();
  const uint8_t kind = in.Byte();
  const std::string& name = names[in.Below(names.size())];
  const auto found = original.records.find(name);
  Place place{memory.Bytes(name), found == original.records.end() ? nullptr : &found->second};
  const uint8_t which = in.Byte();
  size_t begin = size_t{which} * 8;
  if (place.records != nullptr) {
    begin =
        which == 0 || place.records->empty() ? 0 : (*place.records)[which % place.records->size()];
  }
  const size_t at = std::min(begin + in.Byte(), place.bytes.size() - 1);
  const uint8_t value = in.Byte();
  switch (kind % 6) {
    case 0:
      place.bytes[at] ^= static_cast<char>(value | 1);
      return false;
    case 1:  // the rest was never there
      std::fill(place.bytes.begin() + static_cast<ptrdiff_t>(at), place.bytes.end(), '\0');
      return false;
    case 2:
      memory.Remove(name);
      return false;
    case 3: {  // another segment's bytes
      const absl::Span<char> from = memory.Bytes(names[value % names.size()]);
      std::copy_n(from.begin(), std::min(from.size(), place.bytes.size()), place.bytes.begin());
      return false;
    }
    default:  // a change that its checksum covers
      place.bytes[at] = static_cast<char>(value);
      if (place.records != nullptr && begin == 0) RepairSegment(place);
      if (place.records != nullptr && begin != 0) RepairRecord(place, begin);
      return place.records != nullptr;
  }
}

void CheckScans(HeapMapper& memory) {
  absl::StatusOr<std::unique_ptr<SegmentTable>> table =
      SegmentTable::Open(memory, kTable, kIdentity);
  if (!table.ok()) return;
  std::vector<SegmentScan> scans;
  for (const std::string& region : memory.Leftovers()) {
    const absl::Span<char> bytes = memory.Bytes(region);
    const uint64_t sequence = std::strtoull(region.c_str() + 3, nullptr, 10);
    const SegmentName name{kIdentity, sequence, static_cast<uint32_t>(scans.size())};
    absl::StatusOr<SegmentScan> scan =
        ScanSegment(absl::string_view(bytes.data(), bytes.size()), name, (*table)->newest());
    if (!scan.ok()) {
      CHECK(absl::IsDataLoss(scan.status()));
      continue;
    }
    CHECK(scan->used_bytes <= bytes.size());
    scans.push_back(*std::move(scan));
  }
  InlineParallelRunner alone;
  absl::StatusOr<MergedRecords> merged = MergeScans(absl::MakeSpan(scans), alone);
  if (!merged.ok()) return;
  const RecordEntry* last = nullptr;
  for (const std::vector<RecordEntry>& run : merged->records) {
    for (const RecordEntry& record : run) {
      CHECK(last == nullptr || last->revision() < record.revision());
      last = &record;
    }
  }
}

void GoOn(VersionStore& store) {
  const Revision next = store.current_revision().Next();
  store.BeginEntry(next);
  store.Put(0, "key1", "new", LeaseId(0));
  store.CommitEntry();
  store.Compact(next);
  while (store.CompactStep(50, kLatest)) {
  }
  store.CheckInvariants();
}

}  // namespace

FUZZ_TARGET(segments) {
  static const auto* const original = new Original(Make());
  fuzz::Input in(input.substr(0, 128));
  HeapMapper memory;
  for (const auto& [name, content] : original->regions) {
    std::copy(content.begin(), content.end(), (*memory.Create(name, content.size()))->data());
  }
  bool forged = false;
  while (!in.done()) forged |= Edit(in, memory, *original);
  // Looking at the table discards it when it is damaged: the adoption below shall see it.
  const absl::Span<char> table = memory.Bytes(kTable);
  const std::string saved(table.data(), table.size());
  CheckScans(memory);
  if (!saved.empty() && memory.Bytes(kTable).empty()) {
    std::copy(saved.begin(), saved.end(), (*memory.Create(kTable, saved.size()))->data());
  }

  std::unique_ptr<VersionStore> store = NewStore(memory);
  const absl::Status adopted = store->Adopt();
  if (!adopted.ok()) {
    CHECK_MSG(absl::IsDataLoss(adopted) || absl::IsNotFound(adopted), adopted.ToString());
    CHECK(store->StartEmpty().ok() && store->stats().versions == 0);
    return;
  }
  store->CheckInvariants();
  if (store->stats().last_change.value() > (int64_t{1} << 62)) return;  // no revision is next
  FinishStart(*store);
  if (!forged) {
    CHECK(store->stats().last_change <= original->last_change);
    const auto stored = ReadStored(*store);
    if (store->stats().last_change == original->last_change) {
      CHECK(stored.size() == original->stored.size());  // nothing is missing either
    }
    for (const auto& [revision, wire] : stored) {
      const auto was = original->stored.find(revision);
      CHECK(was != original->stored.end() && was->second == wire);
    }
  }
  GoOn(*store);
}

}  // namespace tidemark::mvcc
