// The door to the memory that holds the store: fixed-size regions, on tmpfs or anonymous.
//
// Region contents are zero when created. Thread-safe; regions may be released on any thread.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace tidemark {

class MemoryRegion {
 public:
  virtual ~MemoryRegion() = default;
  virtual char* data() = 0;
  virtual size_t size_bytes() const = 0;
};

class MemoryMapper {
 public:
  virtual ~MemoryMapper() = default;

  // A new region. `name` is unique among live regions ("p3-00000012"); on tmpfs it is a file name.
  // The file is removed when the region is released. ResourceExhausted when tmpfs is full.
  virtual absl::StatusOr<std::unique_ptr<MemoryRegion>> Create(const std::string& name,
                                                               size_t size_bytes) = 0;
};

}  // namespace tidemark
