// Makes the segments of one store: names, sizes and headers of their regions.
//
// Knows nothing of which segments exist or what is in them. Thread-safe: Make may run for several
// sequences at once.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "src/base/memory_mapper.h"
#include "src/mvcc/segment.h"

namespace tidemark::mvcc {

class SegmentMaker {
 public:
  // `name` begins the names of regions.
  SegmentMaker(std::string name, size_t segment_size_bytes, uint64_t identity,
               MemoryMapper& memory);

  // A new one for fresh records, open, with room for one of `wire_size` at least. No memory for it
  // is Fatal: SegmentRoom refuses writes long before, and from half an entry there is no way back.
  // What was stored of it is not committed, so the next process does not see it.
  std::shared_ptr<Segment> Make(uint64_t sequence, size_t wire_size) const;
  // One for survivors. ResourceExhausted: they can stay where they are.
  absl::StatusOr<std::shared_ptr<Segment>> MakeForSurvivors(uint64_t sequence,
                                                            size_t wire_size) const;
  // So large does either make it.
  size_t SizeBytesFor(size_t wire_size) const;
  // One that a former process left. REQUIRES that it was verified.
  std::shared_ptr<Segment> Take(std::unique_ptr<MemoryRegion> region, size_t used_bytes) const {
    return std::make_shared<Segment>(std::move(region), used_bytes, mapped_bytes_);
  }

  std::string RegionName(uint64_t sequence) const;
  const std::string& name() const { return name_; }
  size_t segment_size_bytes() const { return segment_size_bytes_; }
  uint64_t identity() const { return identity_; }
  MemoryMapper& memory() const { return memory_; }
  // Of all segments that still exist.
  int64_t mapped_bytes() const { return mapped_bytes_->load(std::memory_order_relaxed); }

 private:
  absl::StatusOr<std::shared_ptr<Segment>> TryMake(uint64_t sequence, size_t wire_size,
                                                   bool survivors) const;

  const std::string name_;
  const size_t segment_size_bytes_;
  const uint64_t identity_;
  MemoryMapper& memory_;
  const Segment::ByteCounter mapped_bytes_ = std::make_shared<std::atomic<int64_t>>(0);
};

}  // namespace tidemark::mvcc
