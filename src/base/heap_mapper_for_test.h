// A MemoryMapper on the heap that behaves like a tmpfs: regions outlive the process that made them,
// and there is a limit that can be turned down. For tests and the simulator.
//
// Thread-safe; regions may outlive the mapper. What a test changes through Bytes is what a torn or
// foreign file would be.
#pragma once

#include <atomic>
#include <cstdlib>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "src/base/check.h"
#include "src/base/memory_mapper.h"
#include "src/base/mutex.h"

namespace tidemark {

class HeapMapper final : public MemoryMapper {
 public:
  absl::StatusOr<std::unique_ptr<MemoryRegion>> Create(const std::string& name,
                                                       size_t size_bytes) override {
    MutexLock lock(&shared_->mutex);
    if (size_bytes > shared_->capacity_bytes ||
        *shared_->used_bytes > shared_->capacity_bytes - size_bytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat("memory region of ", size_bytes, " bytes: ", name, ": no space left"));
    }
    if (shared_->buffers.contains(name)) return absl::AlreadyExistsError(name);
    auto buffer = std::make_shared<Buffer>(size_bytes, shared_->used_bytes);
    shared_->buffers[name] = buffer;
    return std::make_unique<Region>(shared_, name, std::move(buffer));
  }

  Space space() const override {
    MutexLock lock(&shared_->mutex);
    const uint64_t used = *shared_->used_bytes;
    return {shared_->capacity_bytes,
            shared_->capacity_bytes > used ? shared_->capacity_bytes - used : 0};
  }
  std::vector<std::string> Leftovers() const override {
    MutexLock lock(&shared_->mutex);
    std::vector<std::string> names;
    for (const auto& [name, buffer] : shared_->buffers) {
      if (!buffer->open) names.push_back(name);
    }
    return names;
  }
  absl::StatusOr<std::unique_ptr<MemoryRegion>> Open(const std::string& name) override {
    MutexLock lock(&shared_->mutex);
    auto it = shared_->buffers.find(name);
    if (it == shared_->buffers.end()) return absl::NotFoundError(name);
    if (shared_->opens_left-- == 0) return absl::InternalError("open: too many open files");
    CHECK(!it->second->open);
    return std::make_unique<Region>(shared_, name, it->second);
  }
  void Remove(const std::string& name) override {
    MutexLock lock(&shared_->mutex);
    auto it = shared_->buffers.find(name);
    if (it != shared_->buffers.end() && !it->second->open) shared_->buffers.erase(it);
  }

  void SetCapacityBytes(size_t capacity_bytes) {
    MutexLock lock(&shared_->mutex);
    shared_->capacity_bytes = capacity_bytes;
  }
  // So many regions that are there can be opened; the next one cannot, once.
  void FailOpenAfter(int64_t opens) {
    MutexLock lock(&shared_->mutex);
    shared_->opens_left = opens;
  }
  // Of regions that are open or left over.
  size_t used_bytes() const { return *shared_->used_bytes; }
  // Handles that exist.
  int open_regions() const { return *shared_->open_regions; }
  // A region's content, open or not; empty when there is none.
  absl::Span<char> Bytes(const std::string& name) {
    MutexLock lock(&shared_->mutex);
    auto it = shared_->buffers.find(name);
    if (it == shared_->buffers.end()) return {};
    return {it->second->data, it->second->size_bytes};
  }

 private:
  using Counter = std::shared_ptr<std::atomic<size_t>>;

  struct Buffer {
    Buffer(size_t size, Counter used)
        // calloc gives zero pages lazily
        : data(static_cast<char*>(std::calloc(size, 1))), size_bytes(size), used_bytes(used) {
      CHECK(data != nullptr);
      *used_bytes += size_bytes;
    }
    ~Buffer() {
      *used_bytes -= size_bytes;
      std::free(data);
    }
    char* const data;
    const size_t size_bytes;
    const Counter used_bytes;
    std::atomic<bool> open{false};
  };

  struct Shared {
    Mutex mutex;
    size_t capacity_bytes = std::numeric_limits<size_t>::max();
    int64_t opens_left = -1;
    std::map<std::string, std::shared_ptr<Buffer>> buffers;
    const Counter used_bytes = std::make_shared<std::atomic<size_t>>(0);
    const std::shared_ptr<std::atomic<int>> open_regions = std::make_shared<std::atomic<int>>(0);
  };

  class Region final : public MemoryRegion {
   public:
    Region(std::shared_ptr<Shared> shared, std::string name, std::shared_ptr<Buffer> buffer)
        : shared_(std::move(shared)), name_(std::move(name)), buffer_(std::move(buffer)) {
      buffer_->open = true;
      ++*shared_->open_regions;
    }
    ~Region() override {
      buffer_->open = false;
      --*shared_->open_regions;
    }
    char* data() override { return buffer_->data; }
    size_t size_bytes() const override { return buffer_->size_bytes; }
    void Discard() override {
      MutexLock lock(&shared_->mutex);
      auto it = shared_->buffers.find(name_);
      if (it != shared_->buffers.end() && it->second == buffer_) shared_->buffers.erase(it);
    }

   private:
    const std::shared_ptr<Shared> shared_;
    const std::string name_;
    const std::shared_ptr<Buffer> buffer_;
  };

  const std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
};

}  // namespace tidemark
