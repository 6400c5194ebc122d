// The door to the memory that holds the store: fixed-size regions, on tmpfs or anonymous.
//
// A region on tmpfs outlives the process: what its owner wrote is there for the next one, page by
// page and not necessarily untorn, until it is discarded. Anonymous memory leaves nothing behind.
// Thread-safe; regions may be released on any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace tidemark {

class MemoryRegion {
 public:
  virtual ~MemoryRegion() = default;
  virtual char* data() = 0;
  virtual size_t size_bytes() const = 0;
  // Nobody will look for this region again. Its bytes stay until it is released.
  virtual void Discard() = 0;
};

class MemoryMapper {
 public:
  virtual ~MemoryMapper() = default;

  // As of the last region created or released, or of the last Refresh; UINT64_MAX where there is no
  // bound to be seen. Cheap.
  struct Space {
    uint64_t total_bytes = UINT64_MAX;
    uint64_t free_bytes = UINT64_MAX;
  };
  virtual Space space() const = 0;
  // Others take memory and give it back, too.
  virtual void Refresh() const {}

  // Many regions of that size will be asked for: one may be made ahead.
  virtual void Expect(size_t size_bytes) {}
  // A new region, all zeros. `name` is unique among those that exist ("p3-00000012"); on tmpfs it
  // is a file name. ResourceExhausted when tmpfs is full.
  virtual absl::StatusOr<std::unique_ptr<MemoryRegion>> Create(const std::string& name,
                                                               size_t size_bytes) = 0;

  // --- What a former process left ---
  // Names of those not yet opened or removed here, sorted.
  virtual std::vector<std::string> Leftovers() const = 0;
  virtual absl::StatusOr<std::unique_ptr<MemoryRegion>> Open(const std::string& name) = 0;
  virtual void Remove(const std::string& name) = 0;
};

}  // namespace tidemark
