// Reads a segment file in large windows and hands out views of them without copying.
//
// Sees the file as it was when a window was read: make a new reader after the file changed.
// Used by one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "src/base/bytes.h"
#include "src/base/file_system.h"

namespace tidemark::journal {

class SegmentReader {
 public:
  static absl::StatusOr<SegmentReader> Open(FileSystem& file_system, const std::string& path);

  const std::string& path() const { return path_; }
  uint64_t file_bytes() const { return file_bytes_; }

  // A hint that the whole file will be read.
  void ReadAhead() { file_->ReadAhead(0, file_bytes_); }

  // Bytes [offset, offset + size), fewer only at the end of the file.
  absl::StatusOr<SharedBytes> View(uint64_t offset, size_t size);

 private:
  SegmentReader(std::string path, std::unique_ptr<File> file, uint64_t file_bytes)
      : path_(std::move(path)), file_(std::move(file)), file_bytes_(file_bytes) {}

  std::string path_;
  std::unique_ptr<File> file_;
  uint64_t file_bytes_;
  uint64_t window_offset_ = 0;
  std::shared_ptr<const std::string> window_ = std::make_shared<const std::string>();
};

}  // namespace tidemark::journal
