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

// A large record fills a segment of its own, which the next record then seals.
size_t SegmentMaker::SizeBytesFor(size_t wire_size) const {
  CHECK(wire_size <= kMaxWireSizeBytes);
  return std::max(Segment::kFirstOffset + RecordSizeBytes(wire_size), segment_size_bytes_);
}

std::shared_ptr<Segment> SegmentMaker::Make(uint64_t sequence, size_t wire_size) const {
  auto segment = TryMake(sequence, wire_size, /*survivors=*/false);
  if (!segment.ok()) {
    Fatal(absl::StrCat("no memory to apply what was written already: ", segment.status().message(),
                       "; make room on the tmpfs and start again, nothing is lost"));
  }
  return *std::move(segment);
}

absl::StatusOr<std::shared_ptr<Segment>> SegmentMaker::MakeForSurvivors(uint64_t sequence,
                                                                        size_t wire_size) const {
  return TryMake(sequence, wire_size, /*survivors=*/true);
}

absl::StatusOr<std::shared_ptr<Segment>> SegmentMaker::TryMake(uint64_t sequence, size_t wire_size,
                                                               bool survivors) const {
  FAIL_POINT("mvcc.map_segment");
  auto region = memory_.Create(RegionName(sequence), SizeBytesFor(wire_size));
  if (!region.ok()) return region.status();
  SegmentHeader header;
  header.identity = identity_;
  header.sequence = sequence;
  header.survivors = survivors ? 1 : 0;
  return std::make_shared<Segment>(*std::move(region), header, mapped_bytes_);
}

}  // namespace tidemark::mvcc
