// Memory regions as files in one directory of a tmpfs, or without files at all.
//
// Hides that one region is made ahead, and that pages are given back elsewhere; for what a file of
// memory takes see tmpfs_region_file.h.
// Thread-safe; regions may outlive the mapper and be released on any thread.
//
// Invariants:
//  1. One process owns the directory (a lock file in it) as long as a mapper or a region lives.
//  2. Files named *.region are regions, of the owner or left by a former one, and *.spare one that
//     nobody asked for yet; nothing else in the directory is touched.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "src/base/executor.h"
#include "src/base/file_system.h"
#include "src/base/inline_blocking_runner.h"
#include "src/base/memory_mapper.h"
#include "src/base/mutex.h"
#include "src/base/tmpfs_spare.h"

namespace tidemark {

// What a tmpfs has, asked for whenever a region comes or goes.
class TmpfsSpace {
 public:
  explicit TmpfsSpace(std::string directory) : directory_(std::move(directory)) { Refresh(); }
  void Refresh();
  MemoryMapper::Space Get() const { return {total_bytes_, free_bytes_}; }

 private:
  const std::string directory_;
  std::atomic<uint64_t> total_bytes_{UINT64_MAX};
  std::atomic<uint64_t> free_bytes_{UINT64_MAX};
};

class TmpfsMapper : public MemoryMapper {
 public:
  // Creates the directory where needed. FailedPrecondition when another process owns it.
  // `background` maps and background, a millisecond for every few MiB, so that nobody else has to.
  static absl::StatusOr<std::unique_ptr<TmpfsMapper>> Lock(
      const std::string& directory,
      std::shared_ptr<BlockingRunner> background = std::make_shared<InlineBlockingRunner>());

  absl::StatusOr<std::unique_ptr<MemoryRegion>> Create(const std::string& name,
                                                       size_t size_bytes) override;
  void Expect(size_t size_bytes) override;
  Space space() const override { return space_->Get(); }
  void Refresh() const override { space_->Refresh(); }
  std::vector<std::string> Leftovers() const override ABSL_LOCKS_EXCLUDED(mutex_);
  absl::StatusOr<std::unique_ptr<MemoryRegion>> Open(const std::string& name) override
      ABSL_LOCKS_EXCLUDED(mutex_);
  void Remove(const std::string& name) override ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  TmpfsMapper(std::string directory, std::set<std::string> leftovers,
              std::shared_ptr<FileLock> lock, std::shared_ptr<BlockingRunner> background);
  std::string PathOf(const std::string& name) const;

  const std::string directory_;
  const std::shared_ptr<FileLock> lock_;
  const std::shared_ptr<TmpfsSpace> space_;
  const std::shared_ptr<BlockingRunner> background_;
  const std::shared_ptr<TmpfsSpare> spare_;
  std::atomic<size_t> expected_bytes_{0};
  mutable Mutex mutex_;
  std::set<std::string> leftovers_ ABSL_GUARDED_BY(mutex_);
};

// What lies in such a directory, for whoever may change nothing: regions open as private copies, so
// that the very code which adopts, marks and discards can run over them and nothing of it reaches a
// file. Takes no lock: REQUIRES that nobody writes there meanwhile. New regions are anonymous.
class TmpfsSnapshot : public MemoryMapper {
 public:
  // NotFound when there is no such directory.
  static absl::StatusOr<std::unique_ptr<TmpfsSnapshot>> Look(const std::string& directory);
  static std::string LockPath(const std::string& directory);

  absl::StatusOr<std::unique_ptr<MemoryRegion>> Create(const std::string& name,
                                                       size_t size_bytes) override;
  Space space() const override { return {}; }
  std::vector<std::string> Leftovers() const override { return names_; }
  absl::StatusOr<std::unique_ptr<MemoryRegion>> Open(const std::string& name) override;
  void Remove(const std::string&) override {}

 private:
  TmpfsSnapshot(std::string directory, std::vector<std::string> names)
      : directory_(std::move(directory)), names_(std::move(names)) {}

  const std::string directory_;
  const std::vector<std::string> names_;
};

// For machines without a usable tmpfs, and for tools.
class AnonymousMapper : public MemoryMapper {
 public:
  absl::StatusOr<std::unique_ptr<MemoryRegion>> Create(const std::string& name,
                                                       size_t size_bytes) override;
  Space space() const override { return {}; }
  std::vector<std::string> Leftovers() const override { return {}; }
  absl::StatusOr<std::unique_ptr<MemoryRegion>> Open(const std::string& name) override;
  void Remove(const std::string& name) override;
};

}  // namespace tidemark
