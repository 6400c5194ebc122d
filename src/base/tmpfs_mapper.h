// Memory regions as files in one directory of a tmpfs, or without files at all.
//
// Hides the mapping, and that a full tmpfs would otherwise show itself as SIGBUS: every region's
// pages are reserved before it is handed out.
// Thread-safe; regions may outlive the mapper and be released on any thread.
//
// Invariants:
//  1. One process owns the directory (a lock file in it) as long as a mapper or a region lives.
//  2. Files named *.region are the owner's live regions; Open removes those of a dead owner and
//     touches nothing else.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "src/base/file_system.h"
#include "src/base/memory_mapper.h"

namespace tidemark {

class TmpfsMapper : public MemoryMapper {
 public:
  // Creates the directory where needed. FailedPrecondition when another process owns it.
  static absl::StatusOr<std::unique_ptr<TmpfsMapper>> Open(const std::string& directory);

  absl::StatusOr<std::unique_ptr<MemoryRegion>> Create(const std::string& name,
                                                       size_t size_bytes) override;

 private:
  TmpfsMapper(std::string directory, std::shared_ptr<FileLock> lock);

  const std::string directory_;
  const std::shared_ptr<FileLock> lock_;
};

// For machines without a usable tmpfs, and for tools.
class AnonymousMapper : public MemoryMapper {
 public:
  absl::StatusOr<std::unique_ptr<MemoryRegion>> Create(const std::string& name,
                                                       size_t size_bytes) override;
};

}  // namespace tidemark
