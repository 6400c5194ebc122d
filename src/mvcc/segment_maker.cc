#include "src/mvcc/segment_maker.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "src/base/check.h"
#include "src/base/failpoint.h"

namespace tidemark::mvcc {
namespace {

constexpr size_t kMaxWireSizeBytes = size_t{1} << 30;

}  // namespace

SegmentMaker::SegmentMaker(std::string name, size_t segment_size_bytes, uint64_t identity,
                           MemoryMapper& memory)
    : name_(std::move(name)),
      segment_size_bytes_(segment_size_bytes),
      identity_(identity),
      memory_(memory) {
  CHECK(segment_size_bytes_ >= 4096 && segment_size_bytes_ <= kMaxWireSizeBytes);
}

std::string SegmentMaker::RegionName(uint64_t sequence) const {
  return absl::StrCat(name_, "-", absl::StrFormat("%08d", sequence));
}

std::shared_ptr<Segment> SegmentMaker::Make(uint64_t sequence, size_t wire_size,
                                            bool survivors) const {
  CHECK(wire_size <= kMaxWireSizeBytes);
  FAIL_POINT("mvcc.map_segment");
  // A large record fills a segment of its own, which the next record then seals.
  const size_t needed = Segment::kFirstOffset + RecordSizeBytes(wire_size);
  auto region = memory_.Create(RegionName(sequence), std::max(needed, segment_size_bytes_));
  if (!region.ok()) {
    Fatal(absl::StrCat("no memory to apply what was written already: ", region.status().message(),
                       "; make room on the tmpfs and start again, nothing is lost"));
  }
  SegmentHeader header;
  header.identity = identity_;
  header.sequence = sequence;
  header.survivors = survivors ? 1 : 0;
  return std::make_shared<Segment>(*std::move(region), header, mapped_bytes_);
}

}  // namespace tidemark::mvcc
