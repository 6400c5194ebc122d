// One piece of log-structured memory: a mapped region filled with checksummed records.
//
// Format (version 1, little endian; every record starts at a multiple of 8):
//   SegmentHeader, then records, then zeros. A record is a RecordHeader followed by `wire_size`
//   bytes of mvccpb.KeyValue (a tombstone: key and mod_revision only).
// The checksum covers the header behind commit_mark and the wire bytes. The last record of an entry
// carries a commit mark derived from its checksum, written when the entry is complete; a relocated
// record always carries one. A later warm restart walks the segments in the order of their sequence
// numbers, believes a record only with a good checksum, and drops the records of an entry that has
// no mark: what was written when the process died is applied again from the journal.
//
// Sequence-bound, except that destruction may happen on any thread (SharedBytes keep segments).
//
// Invariants:
//  1. Bytes below used_bytes never change, apart from commit marks being set.
//  2. Segments of the fresh stream hold records in ascending (main, sub).
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "absl/strings/string_view.h"
#include "src/base/memory_mapper.h"
#include "src/mvcc/key_value_codec.h"
#include "src/mvcc/revision_key.h"

namespace tidemark::mvcc {

struct SegmentHeader {
  static constexpr uint64_t kMagic = 0x5430314745534D54;  // "TMSEG10T"
  static constexpr uint32_t kFormatVersion = 1;

  uint64_t magic = kMagic;
  uint32_t format_version = kFormatVersion;
  uint32_t survivors = 0;  // 1: filled by the cleaner, not in revision order
  uint64_t sequence = 0;
};

struct RecordHeader {
  static constexpr uint32_t kTombstoneBit = 0x80000000;
  static constexpr int64_t kMaxSub = 0x7FFFFFFF;

  uint32_t checksum = 0;
  uint32_t commit_mark = 0;  // 0 or CommitMarkOf(checksum)
  uint32_t wire_size = 0;
  uint32_t sub_and_tombstone = 0;
  int64_t main = 0;

  RevisionKey revision() const {
    return {Revision(main), static_cast<int64_t>(sub_and_tombstone & ~kTombstoneBit)};
  }
  bool tombstone() const { return (sub_and_tombstone & kTombstoneBit) != 0; }
  bool committed() const { return commit_mark == CommitMarkOf(checksum); }
  absl::string_view wire() const {
    return absl::string_view(reinterpret_cast<const char*>(this + 1), wire_size);
  }
  uint32_t ComputeChecksum() const;
  // Never 0, so that a zeroed header is not a committed one.
  static uint32_t CommitMarkOf(uint32_t checksum) { return (checksum ^ 0x54494445) | 1; }
};
static_assert(sizeof(SegmentHeader) == 24 && sizeof(RecordHeader) == 24);

constexpr size_t RecordSizeBytes(size_t wire_size) {
  return (sizeof(RecordHeader) + wire_size + 7) & ~size_t{7};
}

class Segment {
 public:
  // `mapped_bytes` counts the bytes of all segments that still exist.
  Segment(std::unique_ptr<MemoryRegion> region, uint64_t sequence, bool survivors,
          std::shared_ptr<std::atomic<int64_t>> mapped_bytes);
  ~Segment();
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;

  bool HasRoomFor(size_t wire_size) const {
    return used_bytes_ + RecordSizeBytes(wire_size) <= size_bytes_;
  }
  // Both return the record's offset. REQUIRES HasRoomFor.
  size_t Append(RevisionKey revision, bool tombstone, const KeyValueFields& fields,
                size_t wire_size);
  size_t AppendCopy(const RecordHeader& record);

  RecordHeader* At(size_t offset) { return reinterpret_cast<RecordHeader*>(data_ + offset); }
  const RecordHeader* At(size_t offset) const {
    return reinterpret_cast<const RecordHeader*>(data_ + offset);
  }

  static constexpr size_t kFirstOffset = sizeof(SegmentHeader);
  char* data() { return data_; }
  size_t size_bytes() const { return size_bytes_; }
  size_t used_bytes() const { return used_bytes_; }
  bool survivors() const { return survivors_; }
  Revision max_main() const { return max_main_; }

  // Records the index still refers to; kept up by SegmentLog.
  size_t live_records = 0;
  size_t live_bytes = 0;
  bool open = true;  // still being filled

 private:
  size_t Take(size_t wire_size);

  std::unique_ptr<MemoryRegion> region_;
  std::shared_ptr<std::atomic<int64_t>> mapped_bytes_;
  char* data_;
  size_t size_bytes_;
  size_t used_bytes_ = kFirstOffset;
  bool survivors_;
  Revision max_main_{0};
};

}  // namespace tidemark::mvcc
