// All segments of one store: where records are appended, found by location, and let go.
//
// Hides when segments are mapped and given back, and the segment table by which a later process
// finds them. Two streams are written: fresh records in revision order, and survivors that the
// cleaner moved together.
// Sequence-bound; the SharedBytes it gives out may be released on any thread.
//
// Invariants:
//  1. A location is valid from Append until Release; the bytes stay valid as long as a SharedBytes.
//  2. A sealed segment without live records is dropped at once (and unmapped when nothing shares
//     it).
//  3. A released record is marked dead before anything that depends on it being gone.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "src/base/bytes.h"
#include "src/base/memory_mapper.h"
#include "src/mvcc/segment.h"
#include "src/mvcc/segment_recovery.h"
#include "src/mvcc/segment_table.h"
#include "src/mvcc/store_options.h"

namespace tidemark::mvcc {

// Segment slot and offset in units of 8 bytes. Zero is no record (a segment starts with its
// header). The top bit is free for the index's use.
class Location {
 public:
  constexpr Location() = default;
  constexpr explicit Location(uint64_t raw) : raw_(raw) {}
  Location(uint32_t slot, size_t offset) : raw_(uint64_t{slot} << 32 | (offset >> 3)) {}

  uint64_t raw() const { return raw_; }
  uint32_t slot() const { return static_cast<uint32_t>(raw_ >> 32); }
  size_t offset() const { return (raw_ & 0xFFFFFFFF) << 3; }
  bool null() const { return raw_ == 0; }
  friend bool operator==(Location, Location) = default;

 private:
  uint64_t raw_ = 0;
};

class SegmentLog {
 public:
  SegmentLog(const StoreOptions& options, MemoryMapper& memory);
  SegmentLog(const SegmentLog&) = delete;
  SegmentLog& operator=(const SegmentLog&) = delete;

  // --- Starting: exactly one of the two succeeds before anything else. ---
  // Empty; what a former process left under this name is thrown away. ResourceExhausted when there
  // is no memory even for the table.
  absl::Status StartEmpty();
  // With what a former process left: its records in revision order, all of them live, up to the
  // last complete entry. NotFound: nothing was left. DataLoss: it cannot be trusted. After an
  // error StartEmpty is what remains.
  struct Adopted {
    SegmentTable::Commit commit;
    std::vector<std::pair<RevisionKey, Location>> records;
  };
  absl::StatusOr<Adopted> Adopt();
  // Adopt gave what turned out not to be true: nothing is left, StartEmpty is next.
  void DiscardAll();

  Location Append(RevisionKey revision, bool tombstone, const KeyValueFields& fields);
  // A whole record from elsewhere; the same bytes.
  Location AppendWire(RevisionKey revision, bool tombstone, absl::string_view wire);
  // Marks the record as the end of a complete entry.
  void MarkCommitted(Location location);
  // Tells a later process how far this one got.
  void Publish(Revision main, uint64_t state_hash, int64_t live_keys);

  const RecordHeader& Record(Location location) const {
    return *reinterpret_cast<const RecordHeader*>(bases_[location.slot()] + location.offset());
  }
  // A reference to `view`, which lies inside the record.
  SharedBytes Share(Location location, absl::string_view view) const {
    return SharedBytes(view, slots_[location.slot()]);
  }
  void Release(Location location);

  // --- Cleaning ---
  // Sealed segments with records not newer than `bound` of which less than `max_live_percent` of
  // the bytes are live, sparsest first.
  std::vector<uint32_t> SparseSegments(Revision bound, int max_live_percent) const;
  // nullptr when the slot is empty.
  const Segment* SegmentAt(uint32_t slot) const { return slots_[slot].get(); }
  // Whether there is memory for moving a record; false also while others need it.
  bool MayMove(size_t wire_size) const;
  // Copies the record into the survivors and releases the old one.
  Location Move(Location location);

  int64_t mapped_bytes() const { return mapped_bytes_->load(std::memory_order_relaxed); }
  uint32_t slot_count() const { return static_cast<uint32_t>(slots_.size()); }
  void CheckInvariants() const;

 private:
  static constexpr uint32_t kNoSlot = UINT32_MAX;

  // The slot of a segment of that stream with room for one more record of `wire_size`.
  uint32_t SlotFor(size_t wire_size, bool survivors);
  uint32_t MapSegment(size_t size_bytes, bool survivors);
  uint32_t PlaceInSlot(std::shared_ptr<Segment> segment);
  SegmentTable::Filled FilledOf(uint32_t slot) const;
  std::string RegionName(uint64_t sequence) const;
  std::string TableName() const { return SegmentTable::NameFor(name_); }
  void RemoveLeftovers();
  absl::StatusOr<Adopted> AdoptSegments();
  absl::StatusOr<std::vector<std::unique_ptr<MemoryRegion>>> OpenListed();
  absl::StatusOr<MergedRecords> ScanAll(const std::vector<std::unique_ptr<MemoryRegion>>& regions,
                                        std::vector<SegmentScan>* scans) const;
  void Seal(uint32_t slot);
  void DropIfUnused(uint32_t slot);
  // Later processes shall not find it; whoever refers to it keeps it.
  static void GiveUp(Segment& segment);

  const std::string name_;
  const size_t segment_size_bytes_;
  const uint64_t identity_;
  MemoryMapper& memory_;
  MemoryBudget* const budget_;
  const SegmentRoom* const room_;
  std::unique_ptr<SegmentTable> table_;
  std::shared_ptr<std::atomic<int64_t>> mapped_bytes_;
  uint64_t next_sequence_ = 1;
  std::vector<std::shared_ptr<Segment>> slots_;
  std::vector<char*> bases_;  // slots_[i]->data(): one load less on every read
  std::vector<uint32_t> free_slots_;
  uint32_t fresh_slot_ = kNoSlot;
  uint32_t survivor_slot_ = kNoSlot;
};

}  // namespace tidemark::mvcc
