// Where a record lies: segment slot and offset in units of 8 bytes. Immutable value.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tidemark::mvcc {

// Zero is no record (a segment starts with its header). The top bit is free for the index's use.
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

}  // namespace tidemark::mvcc
