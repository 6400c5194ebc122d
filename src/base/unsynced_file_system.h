// A FileSystem whose syncs do nothing: what a crash of the machine leaves is anybody's guess.
//
// Hides that the syncs are missing from the code above; everything else goes to the file system
// beneath, which must outlive this one and its files. For --unsafe-no-fsync. As thread-safe as the
// one beneath.
#pragma once

#include "src/base/file_system.h"

namespace tidemark {

class UnsyncedFileSystem : public FileSystem {
 public:
  explicit UnsyncedFileSystem(FileSystem& beneath) : beneath_(beneath) {}

  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override;
  bool Exists(const std::string& path) override { return beneath_.Exists(path); }
  absl::StatusOr<std::vector<std::string>> List(const std::string& directory) override {
    return beneath_.List(directory);
  }
  absl::Status CreateDirectories(const std::string& directory) override {
    return beneath_.CreateDirectories(directory);
  }
  absl::Status Rename(const std::string& from, const std::string& to) override {
    return beneath_.Rename(from, to);
  }
  absl::Status Remove(const std::string& path) override { return beneath_.Remove(path); }
  absl::Status SyncDirectory(const std::string&) override { return absl::OkStatus(); }
  absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path) override {
    return beneath_.Lock(path);
  }

 private:
  FileSystem& beneath_;
};

}  // namespace tidemark
