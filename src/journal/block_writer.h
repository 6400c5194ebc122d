// Makes bytes durable at given places of one file after the other: the newest segments.
//
// Hides whether they go past the page cache (one write, durable when it returns) or, where files
// cannot be written so, through it (a write, then a sync). Used by one thread at a time.
//
// Invariants:
//  1. An error of a sync ends the process, and so does any error of a write but want of space.
#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "src/base/file_system.h"

namespace tidemark::journal {

class BlockWriter {
 public:
  // `directory` is for the log.
  BlockWriter(bool writes_directly, std::string directory)
      : writes_directly_(writes_directly), directory_(std::move(directory)) {}

  // REQUIRES that nothing is unsynced. `file` may be written to by others meanwhile, and synced.
  void Use(std::shared_ptr<File> file);
  File* file() const { return file_.get(); }  // nullptr before the first

  // Whole sectors, as File::WriteDirectly. Durable afterwards unless has_unsynced().
  // ResourceExhausted: part of it may be there, durably or not.
  absl::Status Write(uint64_t offset, absl::Span<const absl::string_view> runs);
  bool has_unsynced() const { return has_unsynced_; }
  void Sync();
  // Nothing depends on it: durable if that costs no sync.
  absl::Status WriteHint(uint64_t offset, absl::string_view bytes);

  bool writes_directly() const { return writes_directly_; }

 private:
  absl::Status WriteDirectly(uint64_t offset, absl::Span<const absl::string_view> runs);

  bool writes_directly_;  // until a file cannot
  const std::string directory_;
  std::shared_ptr<File> file_;
  bool has_unsynced_ = false;
};

}  // namespace tidemark::journal
