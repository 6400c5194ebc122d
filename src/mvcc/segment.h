// One piece of log-structured memory: a mapped region filled with checksummed records.
//
// Format (version 2, little endian; every record starts at a multiple of 8):
//   SegmentHeader, then records, then zeros. A record is a RecordHeader followed by `wire_size`
//   bytes of mvccpb.KeyValue (a tombstone: key and mod_revision only).
// The checksum covers the header behind `mark` and the wire bytes. The mark of the last record of
// an entry says that the entry is complete, that of a relocated record always does; a record that
// compaction removed says that it is dead, or a key could come back to life when the segment with
// its tombstone is given back before the one with its value. How a later process believes all this:
// segment_recovery.h.
//
// Sequence-bound, except that destruction may happen on any thread (SharedBytes keep segments).
//
// Invariants:
//  1. Bytes below used_bytes never change, apart from marks being set.
//  2. Segments of the fresh stream hold records in ascending (main, sub).
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "absl/strings/string_view.h"
#include "src/base/memory_budget.h"
#include "src/base/memory_mapper.h"
#include "src/mvcc/key_value_codec.h"
#include "src/mvcc/revision_key.h"

namespace tidemark::mvcc {

struct SegmentHeader {
  static constexpr uint64_t kMagic = 0x5432304745534D54;  // "TMSEG02T"

  uint64_t magic = kMagic;
  uint64_t identity = 0;      // of the store
  uint64_t sequence = 0;      // in the order of creation, over both streams
  uint32_t survivors = 0;     // 1: filled by the cleaner, not in revision order
  uint32_t checksum = 0;      // of everything before it
  uint64_t sealed_bytes = 0;  // 0 while it is being filled

  uint32_t ComputeChecksum() const;
};

struct RecordHeader {
  static constexpr uint32_t kTombstoneBit = 0x80000000;
  static constexpr int64_t kMaxSub = 0x7FFFFFFF;

  uint32_t checksum = 0;
  uint32_t mark = 0;  // 0, CommitMarkOf(checksum) or DeadMarkOf(checksum)
  uint32_t wire_size = 0;
  uint32_t sub_and_tombstone = 0;
  int64_t main = 0;

  RevisionKey revision() const {
    return {Revision(main), static_cast<int64_t>(sub_and_tombstone & ~kTombstoneBit)};
  }
  bool tombstone() const { return (sub_and_tombstone & kTombstoneBit) != 0; }
  bool committed() const { return mark == CommitMarkOf(checksum); }
  bool dead() const { return mark == DeadMarkOf(checksum); }
  absl::string_view wire() const {
    return absl::string_view(reinterpret_cast<const char*>(this + 1), wire_size);
  }
  uint32_t ComputeChecksum() const;
  // What the record adds to a hash over a set of records: the same wherever it lies.
  uint64_t Hash() const { return HashFrom(main, sub_and_tombstone, checksum); }
  static uint64_t HashFrom(int64_t main, uint32_t sub_and_tombstone, uint32_t checksum);
  // The same without a record.
  static uint64_t HashOf(RevisionKey revision, bool tombstone, absl::string_view wire);
  // Everything but the checksum; unmarked.
  void Describe(RevisionKey revision, bool tombstone, size_t wire_bytes);
  // Neither is ever 0, nor are they ever equal.
  static uint32_t CommitMarkOf(uint32_t checksum) { return (checksum ^ 0x54494445) | 1; }
  static uint32_t DeadMarkOf(uint32_t checksum) { return ((checksum ^ 0x44454144) & ~1U) | 2; }
};
static_assert(sizeof(SegmentHeader) == 40 && sizeof(RecordHeader) == 24);

constexpr size_t RecordSizeBytes(size_t wire_size) {
  return (sizeof(RecordHeader) + wire_size + 7) & ~size_t{7};
}

class Segment {
 public:
  // `mapped_bytes` counts the bytes of all segments that still exist.
  using ByteCounter = std::shared_ptr<std::atomic<int64_t>>;

  // A new one, open; of `header` identity, sequence and survivors count.
  Segment(std::unique_ptr<MemoryRegion> region, SegmentHeader header, ByteCounter mapped_bytes);
  // One that a former process left, sealed behind `used_bytes`. REQUIRES that it was verified.
  Segment(std::unique_ptr<MemoryRegion> region, size_t used_bytes, ByteCounter mapped_bytes);
  ~Segment();
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;

  bool HasRoomFor(size_t wire_size) const {
    return used_bytes_ + RecordSizeBytes(wire_size) <= size_bytes_;
  }
  // All return the record's offset. REQUIRES HasRoomFor.
  size_t Append(RevisionKey revision, bool tombstone, const KeyValueFields& fields,
                size_t wire_size);
  size_t AppendWire(RevisionKey revision, bool tombstone, absl::string_view wire);
  size_t AppendCopy(const RecordHeader& record);
  // Starting: counts a record that is there already as live.
  void AddLive(Revision main, size_t wire_size);
  void MarkDead(size_t offset) {
    At(offset)->mark = RecordHeader::DeadMarkOf(At(offset)->checksum);
  }
  void Seal();
  // Later processes shall not find it.
  void Discard() { region_->Discard(); }

  RecordHeader* At(size_t offset) { return reinterpret_cast<RecordHeader*>(data_ + offset); }
  const RecordHeader* At(size_t offset) const {
    return reinterpret_cast<const RecordHeader*>(data_ + offset);
  }

  static constexpr size_t kFirstOffset = sizeof(SegmentHeader);
  char* data() { return data_; }
  size_t size_bytes() const { return size_bytes_; }
  size_t used_bytes() const { return used_bytes_; }
  uint64_t sequence() const { return header().sequence; }
  bool survivors() const { return header().survivors != 0; }
  Revision max_main() const { return max_main_; }

  // Records the index still refers to; kept up by SegmentLog.
  size_t live_records = 0;
  size_t live_bytes = 0;
  bool open = true;  // still being filled
  // Of kPinned once the log has given the segment up.
  MemoryCharge charge;

 private:
  size_t Take(size_t wire_size);
  const SegmentHeader& header() const { return *reinterpret_cast<SegmentHeader*>(data_); }

  const std::unique_ptr<MemoryRegion> region_;
  const ByteCounter mapped_bytes_;
  char* const data_;
  const size_t size_bytes_;
  size_t used_bytes_ = kFirstOffset;
  Revision max_main_{0};
};

}  // namespace tidemark::mvcc
