#include "src/mvcc/segment_filler.h"

#include "absl/strings/str_cat.h"
#include "src/base/check.h"

namespace tidemark::mvcc {

absl::Status SegmentFiller::Append(RevisionKey revision, bool tombstone, absl::string_view wire) {
  if (revision <= last_ || revision.sub > RecordHeader::kMaxSub ||
      !IsRecordOf(revision.main, wire)) {
    return absl::DataLossError(
        absl::StrCat("the record of revision ", revision.main.value(), " is not one"));
  }
  last_ = revision;
  if (filled_.segments.empty() || !filled_.segments.back()->HasRoomFor(wire.size())) {
    filled_.segments.push_back(maker_.Make(next_sequence_++, wire.size()));
    filled_.records.emplace_back();
  }
  Segment& segment = *filled_.segments.back();
  const size_t offset = segment.AppendWire(revision, tombstone, wire);
  const auto slot = static_cast<uint32_t>(filled_.segments.size() - 1);
  CHECK(DescribeRecord(*segment.At(offset), slot, offset, &filled_.records.back().emplace_back()));
  return absl::OkStatus();
}

}  // namespace tidemark::mvcc
