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

uint64_t RecordHeader::HashFrom(int64_t main, uint32_t sub_and_tombstone, uint32_t checksum) {
  // Murmur3's finaliser: sums of it collide as sums of random numbers do.
  uint64_t hash = static_cast<uint64_t>(main) * 0x9E3779B97F4A7C15;
  hash ^= uint64_t{checksum} << 32 | sub_and_tombstone;
  hash = (hash ^ hash >> 33) * 0xFF51AFD7ED558CCD;
  hash = (hash ^ hash >> 33) * 0xC4CEB9FE1A85EC53;
  return hash ^ hash >> 33;
}

uint64_t RecordHeader::HashOf(RevisionKey revision, bool tombstone, absl::string_view wire) {
  RecordHeader header;
  header.Describe(revision, tombstone, wire.size());
  constexpr size_t kSkipped = offsetof(RecordHeader, wire_size);
  const absl::string_view described(reinterpret_cast<const char*>(&header) + kSkipped,
                                    sizeof(RecordHeader) - kSkipped);
  header.checksum = ExtendCrc32c(Crc32c(described), wire);
  return header.Hash();
}

void RecordHeader::Describe(RevisionKey revision, bool tombstone, size_t wire_bytes) {
  CHECK(revision.sub >= 0 && revision.sub <= kMaxSub);
  mark = 0;
  wire_size = static_cast<uint32_t>(wire_bytes);
  sub_and_tombstone = static_cast<uint32_t>(revision.sub) | (tombstone ? kTombstoneBit : 0);
  main = revision.main.value();
}

uint32_t SegmentHeader::ComputeChecksum() const {
  return Crc32c(
      absl::string_view(reinterpret_cast<const char*>(this), offsetof(SegmentHeader, checksum)));
}

Segment::Segment(std::unique_ptr<MemoryRegion> region, SegmentHeader header,
                 ByteCounter mapped_bytes)
    : region_(std::move(region)),
      mapped_bytes_(std::move(mapped_bytes)),
      data_(region_->data()),
      size_bytes_(region_->size_bytes()) {
  CHECK(size_bytes_ > sizeof(SegmentHeader));
  CHECK(reinterpret_cast<uintptr_t>(data_) % alignof(RecordHeader) == 0);
  header.sealed_bytes = 0;
  header.checksum = header.ComputeChecksum();
  std::memcpy(data_, &header, sizeof(header));
  mapped_bytes_->fetch_add(static_cast<int64_t>(size_bytes_), std::memory_order_relaxed);
}

Segment::Segment(std::unique_ptr<MemoryRegion> region, size_t used_bytes, ByteCounter mapped_bytes)
    : open(false),
      region_(std::move(region)),
      mapped_bytes_(std::move(mapped_bytes)),
      data_(region_->data()),
      size_bytes_(region_->size_bytes()),
      used_bytes_(used_bytes) {
  CHECK(used_bytes_ >= kFirstOffset && used_bytes_ <= size_bytes_);
  reinterpret_cast<SegmentHeader*>(data_)->sealed_bytes = used_bytes_;
  mapped_bytes_->fetch_add(static_cast<int64_t>(size_bytes_), std::memory_order_relaxed);
}

void Segment::AddLive(Revision main, size_t wire_size) {
  live_records += 1;
  live_bytes += RecordSizeBytes(wire_size);
  max_main_ = std::max(max_main_, main);
}

void Segment::Seal() {
  CHECK(open);
  open = false;
  reinterpret_cast<SegmentHeader*>(data_)->sealed_bytes = used_bytes_;
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
  const size_t offset = Take(wire_size);
  RecordHeader* record = At(offset);
  record->Describe(revision, tombstone, wire_size);
  char* const begin = reinterpret_cast<char*>(record + 1);
  CHECK(EncodeKeyValue(fields, begin) == begin + wire_size);
  record->checksum = record->ComputeChecksum();
  max_main_ = std::max(max_main_, revision.main);
  return offset;
}

size_t Segment::AppendWire(RevisionKey revision, bool tombstone, absl::string_view wire) {
  const size_t offset = Take(wire.size());
  RecordHeader* record = At(offset);
  record->Describe(revision, tombstone, wire.size());
  std::memcpy(record + 1, wire.data(), wire.size());
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
  copy->mark = RecordHeader::CommitMarkOf(copy->checksum);
  max_main_ = std::max(max_main_, record.revision().main);
  return offset;
}

}  // namespace tidemark::mvcc
