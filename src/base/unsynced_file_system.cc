#include "src/base/unsynced_file_system.h"

#include <utility>

namespace tidemark {
namespace {

class UnsyncedFile : public File {
 public:
  explicit UnsyncedFile(std::unique_ptr<File> beneath) : beneath_(std::move(beneath)) {}

  absl::StatusOr<std::string> ReadAt(uint64_t offset, size_t size) override {
    return beneath_->ReadAt(offset, size);
  }
  void ReadAhead(uint64_t offset, uint64_t size_bytes) override {
    beneath_->ReadAhead(offset, size_bytes);
  }
  absl::Status WriteAt(uint64_t offset, absl::Span<const absl::string_view> runs) override {
    return beneath_->WriteAt(offset, runs);
  }
  absl::Status Preallocate(uint64_t size_bytes) override {
    return beneath_->Preallocate(size_bytes);
  }
  absl::Status PreallocateAnew(uint64_t size_bytes) override {
    return beneath_->PreallocateAnew(size_bytes);
  }
  absl::Status Truncate(uint64_t size_bytes) override { return beneath_->Truncate(size_bytes); }
  absl::Status SyncData() override { return absl::OkStatus(); }
  absl::StatusOr<uint64_t> Size() override { return beneath_->Size(); }

 private:
  const std::unique_ptr<File> beneath_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<File>> UnsyncedFileSystem::Open(const std::string& path,
                                                               OpenMode mode) {
  absl::StatusOr<std::unique_ptr<File>> file = beneath_.Open(path, mode);
  if (!file.ok()) return file.status();
  return std::make_unique<UnsyncedFile>(*std::move(file));
}

}  // namespace tidemark
