// What a former process left in a segment: checked record by record, believed or refused.
//
// A process that died leaves every store it completed, so a segment holds all its records up to
// some place, perhaps a torn one behind it, and zeros. tmpfs is not trusted for more than that:
// every checksum is computed again, and what was published in the segment table must be there.
// Pure functions over bytes, which are treated as hostile; any thread. The verdict does not depend
// on how many threads helped.
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
#include "src/base/parallel_runner.h"
#include "src/mvcc/record_entry.h"
#include "src/mvcc/segment_table.h"

namespace tidemark::mvcc {

struct SegmentScan {
  struct Incomplete {
    Revision main;
    size_t offset = 0;
  };

  uint64_t sequence = 0;
  bool survivors = false;
  size_t used_bytes = 0;
  std::vector<RecordEntry> records;    // of complete entries, not dead; ascending
  bool twice = false;                  // a revision occurs more than once in `records`
  std::vector<Incomplete> incomplete;  // of the entry that was being applied
};

// What a segment has to be. `slot`: its place in the caller's list, for its entries.
struct SegmentName {
  uint64_t identity = 0;
  uint64_t sequence = 0;
  uint32_t slot = 0;
};

// DataLoss says what is wrong with it.
absl::StatusOr<SegmentScan> ScanSegment(absl::string_view bytes, const SegmentName& name,
                                        const SegmentTable::Commit& commit);

// The records of all segments, each revision once; DataLoss when the segments contradict each
// other. `duplicates` are copies that the cleaner had not marked dead yet. The scans' records are
// moved out. REQUIRES scans in the order of their slots.
struct MergedRecords {
  RecordRuns records;
  std::vector<RecordEntry> duplicates;
};
absl::StatusOr<MergedRecords> MergeScans(absl::Span<SegmentScan> scans, ParallelRunner& workers);

}  // namespace tidemark::mvcc
