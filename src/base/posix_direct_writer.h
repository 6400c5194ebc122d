// Writes to an open file past the page cache (O_DIRECT), durably if asked to (RWF_DSYNC).
//
// Hides a second descriptor, the aligned memory that such writes need, and which errors mean that
// they cannot be done here. Thread class: bound to its file's.
//
// Invariants:
//  1. Once it has said Unimplemented it says nothing else.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "src/base/file_system.h"
#include "src/base/posix_fd.h"

namespace tidemark {

class PosixDirectWriter {
 public:
  // Through /proc, since the file may have another name by now.
  explicit PosixDirectWriter(int fd);

  // As File::WriteDirectly; `path` is for errors.
  absl::Status Write(uint64_t offset, absl::Span<const absl::string_view> runs,
                     Durability durability, const std::string& path);

 private:
  struct Free {
    void operator()(char* memory) const { std::free(memory); }
  };

  void MakeRoom(size_t size_bytes);
  absl::Status WriteChunk(uint64_t offset, size_t size_bytes, Durability durability,
                          const std::string& path);
  absl::Status CannotBeDone();

  UniqueFd fd_;  // none: it cannot be done
  std::unique_ptr<char, Free> chunk_;
  size_t chunk_bytes_ = 0;
};

}  // namespace tidemark
