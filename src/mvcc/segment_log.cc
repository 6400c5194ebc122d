#include "src/mvcc/segment_log.h"

#include <algorithm>
#include <utility>

#include "src/base/check.h"
#include "src/base/failpoint.h"

namespace tidemark::mvcc {
namespace {

constexpr uint32_t kMaxSlots = uint32_t{1} << 30;

}  // namespace

SegmentLog::SegmentLog(const StoreOptions& options, MemoryMapper& memory)
    : maker_(options.name, options.segment_size_bytes, options.identity, memory),
      budget_(options.budget),
      room_(options.room) {}

void SegmentLog::SealOpen(uint32_t* open_slot) {
  if (*open_slot != kNoSlot) Seal(std::exchange(*open_slot, kNoSlot));
}

void SegmentLog::Open(std::shared_ptr<Segment> segment, uint32_t* open_slot) {
  FAIL_POINT("mvcc.segment_not_listed");
  table_->Add(segment->sequence());
  *open_slot = PlaceInSlot(std::move(segment));
}

uint32_t SegmentLog::PlaceInSlot(std::shared_ptr<Segment> segment) {
  uint32_t slot;
  if (free_slots_.empty()) {
    slot = slot_count();
    CHECK(slot < kMaxSlots);
    slots_.emplace_back();
    bases_.push_back(nullptr);
  } else {
    slot = free_slots_.back();
    free_slots_.pop_back();
  }
  if (budget_ != nullptr) {
    segment->charge = MemoryCharge(*budget_, MemoryAccount::kValues);
    segment->charge.Set(static_cast<int64_t>(segment->size_bytes()));
  }
  bases_[slot] = segment->data();
  slots_[slot] = std::move(segment);
  return slot;
}

void SegmentLog::Seal(uint32_t slot) {
  slots_[slot]->Seal();
  DropIfUnused(slot);
}

void SegmentLog::DropIfUnused(uint32_t slot) {
  if (slots_[slot]->open || slots_[slot]->live_records > 0) return;
  CHECK(slots_[slot]->live_bytes == 0);
  table_->Remove(slots_[slot]->sequence());
  FAIL_POINT("mvcc.segment_not_discarded");
  GiveUp(*slots_[slot]);
  slots_[slot].reset();
  bases_[slot] = nullptr;
  free_slots_.push_back(slot);
}

void SegmentLog::GiveUp(Segment& segment) {
  segment.Discard();
  segment.charge.MoveTo(MemoryAccount::kPinned);
}

uint32_t SegmentLog::FreshSlotFor(size_t wire_size) {
  if (!HasRoomIn(fresh_slot_, wire_size)) {
    SealOpen(&fresh_slot_);
    Open(maker_.Make(next_sequence_++, wire_size), &fresh_slot_);
  }
  return fresh_slot_;
}

uint32_t SegmentLog::SurvivorSlotFor(size_t wire_size) {
  if (HasRoomIn(survivor_slot_, wire_size)) return survivor_slot_;
  SegmentRoom::Reservation room;
  if (room_ != nullptr) {
    room = room_->ReserveToClean(maker_.SizeBytesFor(wire_size));
    if (room.empty()) return kNoSlot;
  }
  auto segment = maker_.MakeForSurvivors(next_sequence_, wire_size);
  if (!segment.ok()) return kNoSlot;
  ++next_sequence_;
  SealOpen(&survivor_slot_);
  Open(*std::move(segment), &survivor_slot_);
  return survivor_slot_;
}

Location SegmentLog::Append(RevisionKey revision, bool tombstone, const KeyValueFields& fields) {
  const size_t wire_size = EncodedKeyValueSize(fields);
  const uint32_t slot = FreshSlotFor(wire_size);
  return Location(slot, slots_[slot]->Append(revision, tombstone, fields, wire_size));
}

void SegmentLog::MarkCommitted(Location location) {
  RecordHeader* record = slots_[location.slot()]->At(location.offset());
  record->mark = RecordHeader::CommitMarkOf(record->checksum);
}

SegmentTable::Filled SegmentLog::FilledOf(uint32_t slot) const {
  if (slot == kNoSlot) return {};
  return {slots_[slot]->sequence(), slots_[slot]->used_bytes()};
}

void SegmentLog::Publish(SegmentTable::Commit commit) {
  commit.fresh = FilledOf(fresh_slot_);
  commit.survivors = FilledOf(survivor_slot_);
  table_->Publish(commit);
}

void SegmentLog::Release(Location location) {
  Segment& segment = *slots_[location.slot()];
  const size_t bytes = RecordSizeBytes(Record(location).wire_size);
  if (!PLANTED_BUG("mvcc_removed_record_not_marked")) segment.MarkDead(location.offset());
  CHECK(segment.live_records > 0 && segment.live_bytes >= bytes);
  segment.live_records -= 1;
  segment.live_bytes -= bytes;
  DropIfUnused(location.slot());
}

std::vector<uint32_t> SegmentLog::SparseSegments(Revision bound, int max_live_percent) const {
  std::vector<uint32_t> sparse;
  for (uint32_t slot = 0; slot < slot_count(); ++slot) {
    const Segment* segment = slots_[slot].get();
    if (segment == nullptr || segment->open || segment->max_main() > bound) continue;
    // Half empty ones are those that a restart sealed early.
    const size_t worth_keeping =
        std::max(segment->used_bytes() * static_cast<size_t>(max_live_percent) / 100,
                 std::min(segment->size_bytes(), maker_.segment_size_bytes()) / 2);
    if (segment->live_bytes < worth_keeping) {
      sparse.push_back(slot);
    }
  }
  std::sort(sparse.begin(), sparse.end(), [this](uint32_t a, uint32_t b) {
    return std::pair(slots_[a]->live_bytes, a) < std::pair(slots_[b]->live_bytes, b);
  });
  return sparse;
}

std::optional<Location> SegmentLog::Move(Location location) {
  // Keeps the source mapped while its bytes are copied and its slot may be dropped.
  const std::shared_ptr<Segment> source = slots_[location.slot()];
  const RecordHeader& record = *source->At(location.offset());
  const uint32_t slot = SurvivorSlotFor(record.wire_size);
  if (slot == kNoSlot) return std::nullopt;
  const Location moved(slot, slots_[slot]->AppendCopy(record));
  Release(location);
  return moved;
}

void SegmentLog::CheckInvariants() const {
  size_t mapped = 0;
  for (uint32_t slot = 0; slot < slot_count(); ++slot) {
    const Segment* segment = slots_[slot].get();
    CHECK((segment == nullptr) == (bases_[slot] == nullptr));
    if (segment == nullptr) continue;
    mapped += segment->size_bytes();
    CHECK(segment->open == (slot == fresh_slot_ || slot == survivor_slot_));
    CHECK(segment->open || segment->live_records > 0);
    RevisionKey last{Revision(0), 0};
    size_t records = 0;
    for (size_t offset = Segment::kFirstOffset; offset < segment->used_bytes(); ++records) {
      const RecordHeader& record = *segment->At(offset);
      CHECK(record.checksum == record.ComputeChecksum());
      CHECK(record.mark == 0 || record.committed() || record.dead());
      CHECK(segment->survivors() || record.revision() > last);
      last = record.revision();
      offset += RecordSizeBytes(record.wire_size);
    }
    CHECK(segment->live_records <= records);
  }
  CHECK(static_cast<int64_t>(mapped) <= mapped_bytes());
}

}  // namespace tidemark::mvcc
