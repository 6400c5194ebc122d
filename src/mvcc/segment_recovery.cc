#include "src/mvcc/segment_recovery.h"

#include <algorithm>
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

absl::Status CheckHeader(const SegmentHeader& header, uint64_t identity, uint64_t sequence) {
  if (header.magic != SegmentHeader::kMagic || header.checksum != header.ComputeChecksum()) {
    return Damaged(sequence, "no header");
  }
  if (header.identity != identity) return Damaged(sequence, "it belongs to another store");
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

}  // namespace

absl::StatusOr<SegmentScan> ScanSegment(absl::string_view bytes, uint64_t identity,
                                        uint64_t sequence, const SegmentTable::Commit& commit) {
  if (bytes.size() <= Segment::kFirstOffset) return Damaged(sequence, "it is too short");
  const auto& header = *reinterpret_cast<const SegmentHeader*>(bytes.data());
  if (absl::Status status = CheckHeader(header, identity, sequence); !status.ok()) return status;
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
    FoundRecord found;
    found.revision = record->revision();
    found.offset_words = static_cast<uint32_t>(offset / 8);
    found.tombstone = record->tombstone();
    offset += RecordSizeBytes(record->wire_size);
    if (!scan.survivors && found.revision <= last) return Damaged(sequence, "records go back");
    last = found.revision;
    if (record->dead()) continue;
    if (record->mark != 0 && !record->committed()) return Damaged(sequence, "a mark is damaged");
    const bool complete = found.revision.main <= commit.main;
    if (!complete && scan.survivors) return Damaged(sequence, "a moved record is too new");
    (complete ? scan.records : scan.incomplete).push_back(found);
  }
  if (offset < required || (sealed && offset != required)) {
    return Damaged(sequence, absl::StrCat("the record at ", offset, " is damaged"));
  }
  scan.used_bytes = offset;
  return scan;
}

absl::StatusOr<MergedRecords> MergeScans(absl::Span<SegmentScan> scans) {
  MergedRecords merged;
  size_t total = 0;
  bool in_order = true;
  std::optional<Revision> incomplete;
  for (const SegmentScan& scan : scans) {
    total += scan.records.size();
    for (const FoundRecord& record : scan.incomplete) {
      if (incomplete.value_or(record.revision.main) != record.revision.main) {
        return Damaged(scan.sequence, "entries behind the published one");
      }
      incomplete = record.revision.main;
    }
  }
  merged.records.reserve(total);
  for (uint32_t i = 0; i < scans.size(); ++i) {
    for (FoundRecord record : std::exchange(scans[i].records, {})) {
      record.segment = i;
      in_order &= merged.records.empty() || merged.records.back().revision < record.revision;
      merged.records.push_back(record);
    }
  }
  if (in_order) return merged;
  // Of two copies the survivor comes first.
  std::sort(merged.records.begin(), merged.records.end(),
            [&](const FoundRecord& a, const FoundRecord& b) {
              if (a.revision != b.revision) return a.revision < b.revision;
              return scans[a.segment].survivors > scans[b.segment].survivors;
            });
  size_t kept = 0;
  for (const FoundRecord& record : merged.records) {
    if (kept > 0 && merged.records[kept - 1].revision == record.revision) {
      if (scans[record.segment].survivors == scans[merged.records[kept - 1].segment].survivors &&
          !scans[record.segment].survivors) {
        return Damaged(scans[record.segment].sequence, "a revision occurs twice");
      }
      merged.duplicates.push_back(record);
    } else {
      merged.records[kept++] = record;
    }
  }
  merged.records.resize(kept);
  return merged;
}

}  // namespace tidemark::mvcc
