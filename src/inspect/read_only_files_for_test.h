// A file system that ends the test when an inspection tries to change something.
//
// For tests only. As thread-safe as what it wraps.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "src/base/check.h"
#include "src/base/file_system.h"

namespace tidemark::inspect {

// Lets nothing through that changes a byte or takes a lock.
class ReadOnlyFiles : public FileSystem {
 public:
  explicit ReadOnlyFiles(FileSystem& base) : base_(base) {}

  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override {
    CHECK_MSG(mode == OpenMode::kReadOnly, path);
    return base_.Open(path, mode);
  }
  bool Exists(const std::string& path) override { return base_.Exists(path); }
  absl::StatusOr<std::vector<std::string>> List(const std::string& directory) override {
    return base_.List(directory);
  }
  absl::StatusOr<bool> IsLocked(const std::string& path) override { return base_.IsLocked(path); }
  absl::Status CreateDirectories(const std::string&) override { return Refuse(); }
  absl::Status Rename(const std::string&, const std::string&) override { return Refuse(); }
  absl::Status Remove(const std::string&) override { return Refuse(); }
  absl::Status SyncDirectory(const std::string&) override { return Refuse(); }
  absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string&) override { return Refuse(); }

 private:
  static absl::Status Refuse() {
    CHECK_MSG(false, "inspection must not change anything");
    return absl::OkStatus();
  }
  FileSystem& base_;
};

}  // namespace tidemark::inspect
