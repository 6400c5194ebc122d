#include "src/kvstore/checkpoint/fail_stop_file_system.h"

#include <cerrno>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "src/base/failpoint.h"
#include "src/kvstore/checkpoint/table_tail.h"

namespace tidemark::kvstore {
namespace {

// RocksDB's word for a full disk is for ENOSPC alone.
rocksdb::IOStatus WithQuotaAsSpace(rocksdb::IOStatus result) {
  static const std::string* const quota = new std::string(std::generic_category().message(EDQUOT));
  if (!result.IsIOError() || result.IsNoSpace()) return result;
  std::string text = result.ToString();
  return absl::StrContains(text, *quota) ? rocksdb::IOStatus::NoSpace(text) : result;
}

}  // namespace

using rocksdb::FileOptions;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

class FailStopFileSystem::GuardedFile : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  GuardedFile(FailStopFileSystem& owner, std::string path,
              std::unique_ptr<rocksdb::FSWritableFile> file)
      : FSWritableFileOwnerWrapper(std::move(file)), owner_(owner), path_(std::move(path)) {}

  IOStatus Append(const Slice& data, const IOOptions& options, IODebugContext* debug) override {
    IOStatus refusal = owner_.Refusal();
    return refusal.ok() ? owner_.JudgeWrite(target()->Append(data, options, debug), path_)
                        : refusal;
  }
  IOStatus Append(const Slice& data, const IOOptions& options,
                  const rocksdb::DataVerificationInfo& verification,
                  IODebugContext* debug) override {
    IOStatus refusal = owner_.Refusal();
    if (!refusal.ok()) return refusal;
    return owner_.JudgeWrite(target()->Append(data, options, verification, debug), path_);
  }
  IOStatus Truncate(uint64_t size_bytes, const IOOptions& options, IODebugContext* debug) override {
    IOStatus refusal = owner_.Refusal();
    return refusal.ok() ? target()->Truncate(size_bytes, options, debug) : refusal;
  }
  IOStatus Sync(const IOOptions& options, IODebugContext* debug) override {
    IOStatus refusal = owner_.Refusal();
    return refusal.ok() ? owner_.JudgeSync(target()->Sync(options, debug), path_) : refusal;
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
    IOStatus refusal = owner_.Refusal();
    return refusal.ok() ? owner_.JudgeSync(target()->Fsync(options, debug), path_) : refusal;
  }
  IOStatus RangeSync(uint64_t offset, uint64_t size_bytes, const IOOptions& options,
                     IODebugContext* debug) override {
    IOStatus refusal = owner_.Refusal();
    if (!refusal.ok()) return refusal;
    return owner_.JudgeSync(target()->RangeSync(offset, size_bytes, options, debug), path_);
  }

 private:
  FailStopFileSystem& owner_;
  const std::string path_;
};

class FailStopFileSystem::GuardedDirectory : public rocksdb::FSDirectoryWrapper {
 public:
  GuardedDirectory(FailStopFileSystem& owner, std::string path,
                   std::unique_ptr<rocksdb::FSDirectory> directory)
      : FSDirectoryWrapper(std::move(directory)), owner_(owner), path_(std::move(path)) {}

  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
    IOStatus refusal = owner_.Refusal();
    return refusal.ok() ? owner_.JudgeSync(FSDirectoryWrapper::Fsync(options, debug), path_)
                        : refusal;
  }
  IOStatus FsyncWithDirOptions(const IOOptions& options, IODebugContext* debug,
                               const rocksdb::DirFsyncOptions& details) override {
    IOStatus refusal = owner_.Refusal();
    if (!refusal.ok()) return refusal;
    return owner_.JudgeSync(FSDirectoryWrapper::FsyncWithDirOptions(options, debug, details),
                            path_);
  }

 private:
  FailStopFileSystem& owner_;
  const std::string path_;
};

FailStopFileSystem::FailStopFileSystem(const std::shared_ptr<rocksdb::FileSystem>& target,
                                       std::string scratch_directory)
    : GatedFileSystem(target), scratch_directory_(std::move(scratch_directory)) {}

absl::Status FailStopFileSystem::status() const {
  if (!is_broken()) return absl::OkStatus();
  MutexLock lock(&mutex_);
  return absl::InternalError(
      absl::StrCat(reason_,
                   "; it is in doubt what the disk has, so no checkpoint is written any more: "
                   "check the disk and the kernel's log, then restart this process"));
}

IOStatus FailStopFileSystem::Refusal() const {
  if (!is_broken()) return IOStatus::OK();
  return IOStatus::IOError("refused, since a sync or write failed before");
}

void FailStopFileSystem::Break(const std::string& what) {
  MutexLock lock(&mutex_);
  if (!is_broken()) reason_ = what;
  is_broken_.store(true, std::memory_order_release);
}

IOStatus FailStopFileSystem::JudgeSync(IOStatus result, const std::string& path) {
  // Not every kind of file can do it; RocksDB goes on without.
  if (result.ok() || result.IsNotSupported()) return result;
  result = WithQuotaAsSpace(std::move(result));
  if (result.IsNoSpace() && absl::StartsWith(path, scratch_directory_)) return result;
  Break(absl::StrCat("sync of ", path, ": ", result.ToString()));
  return result;
}

IOStatus FailStopFileSystem::JudgeWrite(IOStatus result, const std::string& path) {
  if (result.ok()) return result;
  result = WithQuotaAsSpace(std::move(result));
  if (!result.IsNoSpace()) {
    Break(absl::StrCat("write of ", path, ": ", result.ToString()));
  }
  return result;
}

void FailStopFileSystem::Guard(const std::string& path,
                               std::unique_ptr<rocksdb::FSWritableFile>* file) {
  *file = std::make_unique<GuardedFile>(*this, path, std::move(*file));
}

void FailStopFileSystem::Guard(const std::string& path,
                               std::unique_ptr<rocksdb::FSDirectory>* directory) {
  *directory = std::make_unique<GuardedDirectory>(*this, path, std::move(*directory));
}

namespace {

absl::StatusOr<std::string> ReadExactly(rocksdb::FSRandomAccessFile& file, uint64_t offset,
                                        size_t size, IOStatus* error) {
  std::string bytes(size, '\0');
  Slice found;
  *error = file.Read(offset, size, IOOptions(), &found, bytes.data(), nullptr);
  if (!error->ok()) return absl::InternalError(error->ToString());
  if (found.size() != size) return absl::DataLossError("the table is too short");
  return found.data() == bytes.data() ? std::move(bytes) : found.ToString();
}

}  // namespace

IOStatus FailStopFileSystem::NewWritableFile(const std::string& path, const FileOptions& options,
                                             std::unique_ptr<rocksdb::FSWritableFile>* file,
                                             IODebugContext* debug) {
  return WithQuotaAsSpace(GatedFileSystem::NewWritableFile(path, options, file, debug));
}

IOStatus FailStopFileSystem::LinkFile(const std::string& from, const std::string& to,
                                      const IOOptions& options, IODebugContext* debug) {
  return WithQuotaAsSpace(GatedFileSystem::LinkFile(from, to, options, debug));
}

IOStatus FailStopFileSystem::NewRandomAccessFile(const std::string& path,
                                                 const FileOptions& options,
                                                 std::unique_ptr<rocksdb::FSRandomAccessFile>* file,
                                                 IODebugContext* debug) {
  IOStatus status = target()->NewRandomAccessFile(path, options, file, debug);
  if (!status.ok() || !absl::EndsWith(path, ".sst")) return status;
  uint64_t file_bytes = 0;
  status = target()->GetFileSize(path, IOOptions(), &file_bytes, debug);
  if (!status.ok()) return status;
  absl::Status checked = CheckTableTail(file_bytes, [&](uint64_t offset, size_t size) {
    return ReadExactly(**file, offset, size, &status);
  });
  if (status.ok() && !checked.ok()) {
    status = IOStatus::Corruption(path, std::string(checked.message()));
  }
  if (!status.ok()) {
    file->reset();
    return status;
  }
  // RocksDB reads ahead as far as it is told. The kernel may do so by megabytes at a time, and the
  // journal's syncs would wait behind them.
  if (!PLANTED_BUG("checkpoint_kernel_reads_ahead")) {
    (*file)->Hint(rocksdb::FSRandomAccessFile::kRandom);
  }
  return status;
}

IOStatus FailStopFileSystem::RenameFile(const std::string& from, const std::string& to,
                                        const IOOptions& options, IODebugContext* debug) {
  IOStatus refusal = Refusal();
  return refusal.ok() ? JudgeWrite(target()->RenameFile(from, to, options, debug), to) : refusal;
}

}  // namespace tidemark::kvstore
