#include "src/mvcc/segment_recovery.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "src/base/failpoint.h"
#include "src/mvcc/segment.h"

namespace tidemark::mvcc {
namespace {

absl::Status Damaged(uint64_t sequence, absl::string_view what) {
  return absl::DataLossError(absl::StrCat("segment ", sequence, ": ", what));
}

absl::Status CheckHeader(const SegmentHeader& header, const SegmentName& name) {
  const uint64_t sequence = name.sequence;
  if (header.magic != SegmentHeader::kMagic || header.checksum != header.ComputeChecksum()) {
    return Damaged(sequence, "no header");
  }
  if (header.identity != name.identity) return Damaged(sequence, "it belongs to another store");
  if (header.sequence != sequence) return Damaged(sequence, "it holds another segment");
  return absl::OkStatus();
}

// nullptr: no valid record there.
const RecordHeader* RecordAt(absl::string_view bytes, size_t offset) {
  if (offset + sizeof(RecordHeader) > bytes.size()) return nullptr;
  const auto* record = reinterpret_cast<const RecordHeader*>(bytes.data() + offset);
  if (record->wire_size == 0 || record->wire_size > bytes.size()) return nullptr;
  const bool fits = offset + RecordSizeBytes(record->wire_size) <= bytes.size();
  if (!fits && !PLANTED_BUG("mvcc_segment_record_size_unchecked")) return nullptr;
  if (PLANTED_BUG("mvcc_torn_record_believed")) return record;
  return record->checksum == record->ComputeChecksum() ? record : nullptr;
}

// Bytes that must hold records, whatever else a crash left.
size_t RequiredBytes(const SegmentHeader& header, const SegmentTable::Commit& commit) {
  if (header.sealed_bytes != 0) return header.sealed_bytes;
  if (commit.fresh.sequence == header.sequence) return commit.fresh.used_bytes;
  if (commit.survivors.sequence == header.sequence) return commit.survivors.used_bytes;
  return Segment::kFirstOffset;
}

// Adds the record at `offset` to the scan.
absl::Status Take(const RecordHeader& record, const SegmentName& name, size_t offset,
                  Revision published, SegmentScan* scan) {
  if (record.dead()) return absl::OkStatus();
  if (record.mark != 0 && !record.committed()) return Damaged(name.sequence, "a mark is damaged");
  const Revision main(record.main);
  if (main > published) {
    if (scan->survivors) return Damaged(name.sequence, "a moved record is too new");
    scan->incomplete.push_back({main, offset});
    return absl::OkStatus();
  }
  RecordEntry& entry = scan->records.emplace_back();
  if (!DescribeRecord(record, name.slot, offset, &entry)) {
    return Damaged(name.sequence, absl::StrCat("the record of revision ", record.main,
                                               " is not a version of a key"));
  }
  return absl::OkStatus();
}

bool Earlier(const RecordEntry& a, const RecordEntry& b) { return a.revision() < b.revision(); }

// What the cleaner moved lies in the order of the segments that it emptied.
void Sort(SegmentScan* scan) {
  std::vector<RecordEntry>& records = scan->records;
  if (!std::is_sorted(records.begin(), records.end(), Earlier)) {
    std::stable_sort(records.begin(), records.end(), Earlier);
  }
  auto same = [](const RecordEntry& a, const RecordEntry& b) { return !Earlier(a, b); };
  scan->twice = std::adjacent_find(records.begin(), records.end(), same) != records.end();
}

// Live records behind the published commit can only be those of one entry.
absl::Status CheckIncomplete(absl::Span<const SegmentScan> scans) {
  std::optional<Revision> incomplete;
  for (const SegmentScan& scan : scans) {
    for (const SegmentScan::Incomplete& record : scan.incomplete) {
      if (incomplete.value_or(record.main) != record.main) {
        return Damaged(scan.sequence, "entries behind the published one");
      }
      incomplete = record.main;
    }
  }
  return absl::OkStatus();
}

// The usual case as long as nothing was cleaned: nothing to merge.
bool FollowEachOther(absl::Span<const SegmentScan> scans) {
  const RecordEntry* last = nullptr;
  for (const SegmentScan& scan : scans) {
    if (scan.records.empty()) continue;
    if (scan.twice) return false;
    if (last != nullptr && !Earlier(*last, scan.records.front())) return false;
    last = &scan.records.back();
  }
  return true;
}

// Revisions that cut what all scans hold into ranges of about `records_per_range`.
std::vector<RevisionKey> Cuts(absl::Span<const SegmentScan> scans, size_t records_per_range) {
  constexpr size_t kSampleEvery = 256;
  std::vector<RevisionKey> samples;
  for (const SegmentScan& scan : scans) {
    for (size_t i = 0; i < scan.records.size(); i += kSampleEvery) {
      samples.push_back(scan.records[i].revision());
    }
  }
  std::sort(samples.begin(), samples.end());
  std::vector<RevisionKey> cuts;
  const size_t step = records_per_range / kSampleEvery;
  for (size_t i = step; i < samples.size(); i += step) cuts.push_back(samples[i]);
  return cuts;
}

// One range of revisions, out of all scans.
struct Range {
  std::vector<RecordEntry> records;
  std::vector<RecordEntry> duplicates;
  absl::Status status;
};

// nullptr: without end on that side.
Range MergeRange(absl::Span<SegmentScan> scans, const RevisionKey* begin, const RevisionKey* end) {
  auto before = [](const RecordEntry& a, const RevisionKey& b) { return a.revision() < b; };
  Range range;
  for (SegmentScan& scan : scans) {
    auto first = scan.records.begin();
    auto last = scan.records.end();
    if (begin != nullptr) first = std::lower_bound(first, last, *begin, before);
    if (end != nullptr) last = std::lower_bound(first, last, *end, before);
    range.records.insert(range.records.end(), std::move_iterator(first), std::move_iterator(last));
  }
  // Of two copies the survivor comes first.
  std::sort(range.records.begin(), range.records.end(),
            [&](const RecordEntry& a, const RecordEntry& b) {
              const RevisionKey left = a.revision();
              const RevisionKey right = b.revision();
              if (left != right) return left < right;
              const bool moved = scans[a.slot].survivors;
              if (moved != scans[b.slot].survivors) return moved;
              return std::pair(a.slot, a.offset_words) < std::pair(b.slot, b.offset_words);
            });
  size_t kept = 0;
  for (RecordEntry& record : range.records) {
    if (kept == 0 || range.records[kept - 1].revision() != record.revision()) {
      if (&range.records[kept] != &record) range.records[kept] = std::move(record);
      ++kept;
      continue;
    }
    if (!scans[range.records[kept - 1].slot].survivors) {
      range.status = Damaged(scans[record.slot].sequence, "a revision occurs twice");
      return range;
    }
    range.duplicates.push_back(std::move(record));
  }
  range.records.resize(kept);
  return range;
}

}  // namespace

absl::StatusOr<SegmentScan> ScanSegment(absl::string_view bytes, const SegmentName& name,
                                        const SegmentTable::Commit& commit) {
  const uint64_t sequence = name.sequence;
  if (bytes.size() <= Segment::kFirstOffset) return Damaged(sequence, "it is too short");
  const auto& header = *reinterpret_cast<const SegmentHeader*>(bytes.data());
  if (absl::Status status = CheckHeader(header, name); !status.ok()) return status;
  const size_t required = RequiredBytes(header, commit);
  const bool sealed = header.sealed_bytes != 0;
  if (required < Segment::kFirstOffset || required > bytes.size()) {
    return Damaged(sequence, "its size is wrong");
  }
  SegmentScan scan;
  scan.sequence = sequence;
  scan.survivors = header.survivors != 0;
  size_t offset = Segment::kFirstOffset;
  RevisionKey last{Revision(0), -1};
  while (!sealed || offset < required) {
    const RecordHeader* record = RecordAt(bytes, offset);
    if (record == nullptr) break;
    if (!scan.survivors && record->revision() <= last) return Damaged(sequence, "records go back");
    last = record->revision();
    if (absl::Status s = Take(*record, name, offset, commit.main, &scan); !s.ok()) return s;
    offset += RecordSizeBytes(record->wire_size);
  }
  if (offset < required || (sealed && offset != required)) {
    return Damaged(sequence, absl::StrCat("the record at ", offset, " is damaged"));
  }
  scan.used_bytes = offset;
  if (scan.survivors) Sort(&scan);
  return scan;
}

absl::StatusOr<MergedRecords> MergeScans(absl::Span<SegmentScan> scans, ParallelRunner& workers) {
  if (absl::Status status = CheckIncomplete(scans); !status.ok()) return status;
  MergedRecords merged;
  if (FollowEachOther(scans)) {
    for (SegmentScan& scan : scans) {
      if (!scan.records.empty()) merged.records.push_back(std::move(scan.records));
    }
    return merged;
  }
  constexpr size_t kRecordsPerRange = 16384;
  const std::vector<RevisionKey> cuts = Cuts(scans, kRecordsPerRange);
  std::vector<Range> ranges(cuts.size() + 1);
  workers.ForEach(ranges.size(), [&](size_t i) {
    ranges[i] =
        MergeRange(scans, i == 0 ? nullptr : &cuts[i - 1], i == cuts.size() ? nullptr : &cuts[i]);
  });
  for (SegmentScan& scan : scans) scan.records = std::vector<RecordEntry>();
  for (Range& range : ranges) {
    if (!range.status.ok()) return range.status;
    if (!range.records.empty()) merged.records.push_back(std::move(range.records));
    for (RecordEntry& twice : range.duplicates) merged.duplicates.push_back(std::move(twice));
  }
  return merged;
}

}  // namespace tidemark::mvcc
