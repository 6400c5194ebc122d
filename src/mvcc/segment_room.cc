#include "src/mvcc/segment_room.h"

#include <algorithm>

#include "src/base/failpoint.h"
#include "src/mvcc/segment.h"

namespace tidemark::mvcc {
namespace {

constexpr size_t kSmallestSegmentBytes = 64 << 10;
// What the floor may take of a small tmpfs: one in so many parts.
constexpr uint64_t kFloorPart = 16;
// Numbers, tags and lengths of a KeyValue's wire form.
constexpr size_t kWireOverheadBytes = 64;

}  // namespace

SegmentRoom::Reservation& SegmentRoom::Reservation::operator=(Reservation&& other) noexcept {
  if (this == &other) return *this;
  GiveBack();
  account_ = std::exchange(other.account_, nullptr);
  bytes_ = std::exchange(other.bytes_, 0);
  return *this;
}

void SegmentRoom::Reservation::GiveBack() {
  if (account_ == nullptr) return;
  std::exchange(account_, nullptr)->fetch_sub(bytes_);
}

size_t SegmentRoom::SegmentSizeFor(size_t wanted_bytes, size_t stores, uint64_t total_bytes) {
  size_t size = wanted_bytes;
  while (size > kSmallestSegmentBytes && 2 * stores * size > total_bytes / kFloorPart) size /= 2;
  return size;
}

int64_t SegmentRoom::RecordBytes(size_t key_bytes, size_t value_bytes) {
  return static_cast<int64_t>(RecordSizeBytes(key_bytes + value_bytes + kWireOverheadBytes));
}

int64_t SegmentRoom::FreeBytes() const {
  return static_cast<int64_t>(std::min<uint64_t>(memory_.space().free_bytes, INT64_MAX));
}

// Whoever takes something adds it to its account before it looks at the other one, so that of a
// write and a cleaner at least one sees what both want (or each does, and neither gets it); and
// looks at that before it asks what is free, so that a segment which was mapped meanwhile counts
// twice and never not at all.
SegmentRoom::Reservation SegmentRoom::Reserve(int64_t bytes) {
  const int64_t taken = bytes * kWorstFill;
  const int64_t reserved = reserved_bytes_.fetch_add(taken) + taken;
  Reservation reservation(reserved_bytes_, taken);
  const int64_t held = HeldForSegments();
  if (FreeBytes() - held < reserved && !PLANTED_BUG("segment_room_not_looked_at")) {
    return Reservation();
  }
  return reservation;
}

int64_t SegmentRoom::HeldForSegments() const {
  if (PLANTED_BUG("segment_room_cleaners_not_looked_at")) return floor_bytes();
  return a_segment_each_bytes_ + std::max(a_segment_each_bytes_, cleaning_bytes_.load());
}

bool SegmentRoom::HasHeadroom(int64_t bytes, int headrooms) const {
  const int64_t total =
      static_cast<int64_t>(std::min<uint64_t>(memory_.space().total_bytes, INT64_MAX));
  const int64_t needed = reserved_bytes() + bytes * kWorstFill + HeldForSegments();
  return FreeBytes() - needed >= headrooms * (total / kHeadroomPart);
}

SegmentRoom::Reservation SegmentRoom::ReserveToClean(size_t segment_bytes) {
  const auto taken = static_cast<int64_t>(segment_bytes);
  const int64_t cleaning = cleaning_bytes_.fetch_add(taken) + taken;
  Reservation reservation(cleaning_bytes_, taken);
  const int64_t reserved = reserved_bytes_.load();
  if (FreeBytes() < cleaning + a_segment_each_bytes_ + reserved) return Reservation();
  return reservation;
}

}  // namespace tidemark::mvcc
