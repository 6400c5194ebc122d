// What a former process left in a segment: checked record by record, believed or refused.
//
// A process that died leaves every store it completed, so a segment holds all its records up to
// some place, perhaps a torn one behind it, and zeros. tmpfs is not trusted for more than that:
// every checksum is computed again, and what was published in the segment table must be there.
// Pure functions over bytes, which are treated as hostile; any thread.
//
// Believed (docs/segment-format.md):
//  1. of a sealed segment, exactly the bytes that its header says;
//  2. of an open one, all valid records, and no fewer bytes than the table says;
//  3. records of entries up to the published commit. Live records behind it can only be those of
//     the one entry that was being applied: it is applied again.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "src/mvcc/revision_key.h"
#include "src/mvcc/segment_table.h"

namespace tidemark::mvcc {

struct FoundRecord {
  RevisionKey revision;
  uint32_t segment = 0;  // its place in the caller's list
  uint32_t offset_words = 0;
  bool tombstone = false;
  size_t offset() const { return size_t{offset_words} * 8; }
};

struct SegmentScan {
  uint64_t sequence = 0;
  bool survivors = false;
  size_t used_bytes = 0;
  std::vector<FoundRecord> records;     // of complete entries, not dead
  std::vector<FoundRecord> incomplete;  // of the entry that was being applied
};

// DataLoss says what is wrong with it.
absl::StatusOr<SegmentScan> ScanSegment(absl::string_view bytes, uint64_t identity,
                                        uint64_t sequence, const SegmentTable::Commit& commit);

// The records of all segments in revision order, each revision once; DataLoss when the segments
// contradict each other. `duplicates` are copies that the cleaner had not marked dead yet.
struct MergedRecords {
  std::vector<FoundRecord> records;
  std::vector<FoundRecord> duplicates;
};
absl::StatusOr<MergedRecords> MergeScans(absl::Span<SegmentScan> scans);

}  // namespace tidemark::mvcc
