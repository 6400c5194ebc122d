// Memory regions on the heap, for this module's tests. Counts what is mapped.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "src/base/memory_mapper.h"

namespace tidemark::mvcc {

class HeapMapperForTest final : public MemoryMapper {
 public:
  absl::StatusOr<std::unique_ptr<MemoryRegion>> Create(const std::string& name,
                                                       size_t size_bytes) override {
    return std::make_unique<Region>(size_bytes, live_regions_);
  }
  int live_regions() const { return live_regions_->load(); }

 private:
  using Counter = std::shared_ptr<std::atomic<int>>;

  class Region final : public MemoryRegion {
   public:
    Region(size_t size_bytes, Counter counter)
        : words_((size_bytes + 7) / 8), size_bytes_(size_bytes), counter_(std::move(counter)) {
      ++*counter_;
    }
    ~Region() override { --*counter_; }
    char* data() override { return reinterpret_cast<char*>(words_.data()); }
    size_t size_bytes() const override { return size_bytes_; }

   private:
    std::vector<uint64_t> words_;
    size_t size_bytes_;
    Counter counter_;
  };

  Counter live_regions_ = std::make_shared<std::atomic<int>>(0);
};

}  // namespace tidemark::mvcc
