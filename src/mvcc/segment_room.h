// Whether memory will hold what is about to be stored (docs/design-notes.md, "Room for segments").
//
// Hides the worst case of filling segments. A write sets memory aside before it is ordered, because
// afterwards there is no way back: an ordered entry has to be applied. Thread-safe; one for all
// stores of a process.
//
// Invariants:
//  1. While only writes that were given a Reservation are applied, and nobody else fills the tmpfs,
//     a segment to store them in can be mapped.
//  2. Cleaning never takes what is set aside.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "src/base/memory_mapper.h"

namespace tidemark::mvcc {

class SegmentRoom {
 public:
  // Memory set aside, for one write or one segment of a cleaner; given back when it goes, be it
  // used by then or given up. The room must outlive it.
  class Reservation {
   public:
    Reservation() = default;  // of nothing
    Reservation(Reservation&& other) noexcept { *this = std::move(other); }
    Reservation& operator=(Reservation&& other) noexcept;
    ~Reservation() { GiveBack(); }
    bool empty() const { return account_ == nullptr; }

   private:
    friend class SegmentRoom;
    Reservation(std::atomic<int64_t>& account, int64_t bytes) : account_(&account), bytes_(bytes) {}
    void GiveBack();

    std::atomic<int64_t>* account_ = nullptr;
    int64_t bytes_ = 0;
  };

  // `stores` with segments of that size.
  SegmentRoom(const MemoryMapper& memory, size_t stores, size_t segment_size_bytes)
      : memory_(memory), a_segment_each_bytes_(static_cast<int64_t>(stores * segment_size_bytes)) {}

  // `wanted_bytes`, or a part of it of which memory of that size holds enough.
  static size_t SegmentSizeFor(size_t wanted_bytes, size_t stores, uint64_t total_bytes);
  // At most so much of a segment does a record with such a key and value take.
  static int64_t RecordBytes(size_t key_bytes, size_t value_bytes);

  // Empty when there is not enough memory for records of `bytes` altogether.
  Reservation Reserve(int64_t bytes);
  // Whether, besides what such a write needs, `headrooms` thirty-seconds of all memory are free.
  bool HasHeadroom(int64_t bytes, int headrooms) const;
  // For a segment that a cleaner fills, until it is there; empty while writes need what is left.
  Reservation ReserveToClean(size_t segment_bytes);
  // One segment that each store's writes begin, one that each store's cleaner does.
  int64_t floor_bytes() const { return 2 * a_segment_each_bytes_; }
  int64_t reserved_bytes() const { return reserved_bytes_.load(std::memory_order_relaxed); }

 private:
  // Records of B bytes in all fill less than 2 B of segments and one more: two neighbours hold
  // together more than the first one's size, or the second would not have been begun.
  static constexpr int64_t kWorstFill = 2;
  static constexpr int64_t kHeadroomPart = 32;

  int64_t FreeBytes() const;
  // The floor, or more while cleaners have taken more than their part of it.
  int64_t HeldForSegments() const;

  const MemoryMapper& memory_;
  const int64_t a_segment_each_bytes_;
  std::atomic<int64_t> reserved_bytes_{0};  // times kWorstFill
  std::atomic<int64_t> cleaning_bytes_{0};  // several stores clean at once
};

}  // namespace tidemark::mvcc
