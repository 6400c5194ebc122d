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

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "src/base/bytes.h"
#include "src/base/load_progress.h"
#include "src/base/memory_mapper.h"
#include "src/base/parallel_runner.h"
#include "src/mvcc/location.h"
#include "src/mvcc/segment.h"
#include "src/mvcc/segment_filler.h"
#include "src/mvcc/segment_maker.h"
#include "src/mvcc/segment_recovery.h"
#include "src/mvcc/segment_table.h"
#include "src/mvcc/store_options.h"

namespace tidemark::mvcc {

class SegmentLog {
 public:
  SegmentLog(const StoreOptions& options, MemoryMapper& memory);
  SegmentLog(const SegmentLog&) = delete;
  SegmentLog& operator=(const SegmentLog&) = delete;

  // --- Starting: exactly one of StartEmpty and Adopt succeeds before anything else. ---
  // Before them: throws away what a former process left when `judge` refuses it. Reads the table
  // alone, and fails as Adopt does for its sake.
  absl::Status DiscardUnless(absl::FunctionRef<absl::Status(const SegmentTable::Commit&)> judge);
  // Empty; what a former process left under this name is thrown away. ResourceExhausted when there
  // is no memory even for the table.
  absl::Status StartEmpty();
  // With what a former process left: its records, all of them live, up to the last complete entry.
  // NotFound: nothing was left. DataLoss: it cannot be trusted. After an error StartEmpty is what
  // remains. Cancelled, when `progress` is, and Unavailable, when something is there and could not
  // be opened: a later process still finds everything.
  struct Adopted {
    SegmentTable::Commit commit;
    RecordRuns records;
  };
  absl::StatusOr<Adopted> Adopt(ParallelRunner& workers, LoadProgress& progress);
  // Adopt gave what turned out not to be true: nothing is left, StartEmpty is next.
  void DiscardAll();
  // Behind StartEmpty, before anything else: the segments that fillers made of an image's parts, in
  // their order. Gives all records. DataLoss when a part does not lie above the one before.
  absl::StatusOr<RecordRuns> TakeFilled(std::vector<SegmentFiller::Filled> parts,
                                        ParallelRunner& workers);
  const SegmentMaker& maker() const { return maker_; }

  Location Append(RevisionKey revision, bool tombstone, const KeyValueFields& fields);
  // Marks the record as the end of a complete entry.
  void MarkCommitted(Location location);
  // Tells a later process how far this one got; where the streams are filled is added here.
  void Publish(SegmentTable::Commit commit);

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
  // Copies the record into the survivors and releases the old one. Nothing: there is no memory for
  // it, or others need that, and it stays where it is.
  std::optional<Location> Move(Location location);

  int64_t mapped_bytes() const { return maker_.mapped_bytes(); }
  uint32_t slot_count() const { return static_cast<uint32_t>(slots_.size()); }
  void CheckInvariants() const;

 private:
  static constexpr uint32_t kNoSlot = UINT32_MAX;

  bool HasRoomIn(uint32_t slot, size_t wire_size) const {
    return slot != kNoSlot && slots_[slot]->HasRoomFor(wire_size);
  }
  // The slot of a fresh segment with room for one more record of `wire_size`.
  uint32_t FreshSlotFor(size_t wire_size);
  // Of one for survivors, or kNoSlot where there is no memory for it.
  uint32_t SurvivorSlotFor(size_t wire_size);
  // What a stream filled so far, if anything; then what it fills next.
  void SealOpen(uint32_t* open_slot);
  void Open(std::shared_ptr<Segment> segment, uint32_t* open_slot);
  uint32_t PlaceInSlot(std::shared_ptr<Segment> segment);
  SegmentTable::Filled FilledOf(uint32_t slot) const;
  std::string TableName() const { return SegmentTable::NameFor(maker_.name()); }
  void RemoveLeftovers();
  // A listed segment that was looked at.
  struct Found {
    std::unique_ptr<MemoryRegion> region;
    SegmentScan scan;
    absl::Status status;
  };
  absl::StatusOr<Adopted> AdoptSegments(ParallelRunner& workers, LoadProgress& progress);
  absl::StatusOr<std::vector<Found>> ScanListed(ParallelRunner& workers, LoadProgress& progress);
  absl::Status Scan(uint64_t sequence, uint32_t slot, LoadProgress& progress, Found* found) const;
  void AddLive(const RecordRuns& records);
  void Seal(uint32_t slot);
  void DropIfUnused(uint32_t slot);
  // Later processes shall not find it; whoever refers to it keeps it.
  static void GiveUp(Segment& segment);

  const SegmentMaker maker_;
  MemoryBudget* const budget_;
  SegmentRoom* const room_;
  std::unique_ptr<SegmentTable> table_;
  uint64_t next_sequence_ = 1;
  std::vector<std::shared_ptr<Segment>> slots_;
  std::vector<char*> bases_;  // slots_[i]->data(): one load less on every read
  std::vector<uint32_t> free_slots_;
  uint32_t fresh_slot_ = kNoSlot;
  uint32_t survivor_slot_ = kNoSlot;
};

}  // namespace tidemark::mvcc
