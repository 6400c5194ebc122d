// MemoryMapper on the heap, with a limit that can be turned down like a full tmpfs.
//
// Bound to the simulator's one thread; regions may outlive the mapper.
#pragma once

#include <cstdlib>
#include <limits>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "src/base/memory_mapper.h"

namespace tidemark::sim {

class HeapMapper : public MemoryMapper {
 public:
  absl::StatusOr<std::unique_ptr<MemoryRegion>> Create(const std::string& name,
                                                       size_t size_bytes) override {
    if (size_bytes > capacity_bytes_ || *used_bytes_ > capacity_bytes_ - size_bytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat("memory region of ", size_bytes, " bytes: ", name, ": no space left"));
    }
    return std::make_unique<Region>(size_bytes, used_bytes_);
  }

  void SetCapacityBytes(size_t capacity_bytes) { capacity_bytes_ = capacity_bytes; }
  size_t used_bytes() const { return *used_bytes_; }

 private:
  class Region : public MemoryRegion {
   public:
    Region(size_t size_bytes, std::shared_ptr<size_t> used_bytes)
        : data_(static_cast<char*>(std::calloc(size_bytes, 1))),
          size_bytes_(size_bytes),
          used_bytes_(std::move(used_bytes)) {
      if (data_ == nullptr) std::abort();
      *used_bytes_ += size_bytes_;
    }
    ~Region() override {
      *used_bytes_ -= size_bytes_;
      std::free(data_);
    }
    char* data() override { return data_; }
    size_t size_bytes() const override { return size_bytes_; }

   private:
    char* const data_;  // calloc gives zero pages lazily
    const size_t size_bytes_;
    const std::shared_ptr<size_t> used_bytes_;
  };

  size_t capacity_bytes_ = std::numeric_limits<size_t>::max();
  std::shared_ptr<size_t> used_bytes_ = std::make_shared<size_t>(0);
};

}  // namespace tidemark::sim
