#include "src/mvcc/segment.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <utility>

#include "src/base/check.h"
#include "src/base/crc32c.h"

namespace tidemark::mvcc {

uint32_t RecordHeader::ComputeChecksum() const {
  // The wire bytes lie right behind the header, so one run covers both.
  constexpr size_t kSkipped = offsetof(RecordHeader, wire_size);
  return Crc32c(absl::string_view(reinterpret_cast<const char*>(this) + kSkipped,
                                  sizeof(RecordHeader) - kSkipped + wire_size));
}

Segment::Segment(std::unique_ptr<MemoryRegion> region, uint64_t sequence, bool survivors,
                 std::shared_ptr<std::atomic<int64_t>> mapped_bytes)
    : region_(std::move(region)),
      mapped_bytes_(std::move(mapped_bytes)),
      data_(region_->data()),
      size_bytes_(region_->size_bytes()),
      survivors_(survivors) {
  CHECK(size_bytes_ > sizeof(SegmentHeader));
  CHECK(reinterpret_cast<uintptr_t>(data_) % alignof(RecordHeader) == 0);
  SegmentHeader header;
  header.survivors = survivors ? 1 : 0;
  header.sequence = sequence;
  std::memcpy(data_, &header, sizeof(header));
  mapped_bytes_->fetch_add(static_cast<int64_t>(size_bytes_), std::memory_order_relaxed);
}

Segment::~Segment() {
  mapped_bytes_->fetch_sub(static_cast<int64_t>(size_bytes_), std::memory_order_relaxed);
}

size_t Segment::Take(size_t wire_size) {
  CHECK(open && HasRoomFor(wire_size));
  const size_t offset = used_bytes_;
  used_bytes_ += RecordSizeBytes(wire_size);
  live_records += 1;
  live_bytes += RecordSizeBytes(wire_size);
  return offset;
}

size_t Segment::Append(RevisionKey revision, bool tombstone, const KeyValueFields& fields,
                       size_t wire_size) {
  CHECK(revision.sub >= 0 && revision.sub <= RecordHeader::kMaxSub);
  const size_t offset = Take(wire_size);
  RecordHeader* record = At(offset);
  record->commit_mark = 0;
  record->wire_size = static_cast<uint32_t>(wire_size);
  record->sub_and_tombstone =
      static_cast<uint32_t>(revision.sub) | (tombstone ? RecordHeader::kTombstoneBit : 0);
  record->main = revision.main.value();
  char* const begin = reinterpret_cast<char*>(record + 1);
  CHECK(EncodeKeyValue(fields, begin) == begin + wire_size);
  record->checksum = record->ComputeChecksum();
  max_main_ = std::max(max_main_, revision.main);
  return offset;
}

size_t Segment::AppendCopy(const RecordHeader& record) {
  const size_t offset = Take(record.wire_size);
  std::memcpy(data_ + offset, &record, sizeof(RecordHeader) + record.wire_size);
  RecordHeader* copy = At(offset);
  // Whoever moves memory is the last to notice that it has rotted.
  CHECK_MSG(copy->checksum == copy->ComputeChecksum(), "a stored record has changed in memory");
  copy->commit_mark = RecordHeader::CommitMarkOf(copy->checksum);
  max_main_ = std::max(max_main_, record.revision().main);
  return offset;
}

}  // namespace tidemark::mvcc
