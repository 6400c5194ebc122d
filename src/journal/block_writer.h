// Writes to one file after the other: the newest segments, and the one that comes next.
//
// Hides whether bytes go past the page cache (a durable write is durable when it returns) or, where
// files cannot be written so, through it (a write, then a sync). Used by one thread at a time.
//
// Invariants:
//  1. An error of a sync ends the process, and so does any error of a write but want of space.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "src/base/file_system.h"

namespace tidemark::journal {

class BlockWriter {
 public:
  explicit BlockWriter(bool writes_directly) : may_write_directly_(writes_directly) {}

  // REQUIRES that nothing is unsynced.
  void Use(std::shared_ptr<File> file);

  // Whole sectors, as File::WriteDirectly. On the disk as `durability` says, unless has_unsynced().
  // ResourceExhausted: part of it may be there, durably or not.
  absl::Status Write(uint64_t offset, absl::Span<const absl::string_view> runs,
                     Durability durability);
  bool has_unsynced() const { return has_unsynced_; }
  // Makes what Write left durable.
  void Sync();

  // What nothing depends on, and the next Write overwrites: durable at once, or, where that would
  // take a sync, whenever the kernel writes it back.
  absl::Status WriteHint(uint64_t offset, absl::string_view bytes);
  // Each hint is a disk write of its own.
  bool HintsAreCostly() const { return writes_directly_; }

  // Through the page cache and synced: for repairs, so that later reads and syncs see them.
  absl::Status Rewrite(uint64_t offset, absl::string_view bytes);
  absl::StatusOr<std::string> Read(uint64_t offset, size_t size_bytes) {
    return file_->ReadAt(offset, size_bytes);
  }

 private:
  absl::Status WriteDirectly(uint64_t offset, absl::Span<const absl::string_view> runs,
                             Durability durability);

  const bool may_write_directly_;
  // To this file. Each is tried: a short want of descriptors shall not last.
  bool writes_directly_ = false;
  bool told_ = false;
  std::shared_ptr<File> file_;
  bool has_unsynced_ = false;
};

}  // namespace tidemark::journal
