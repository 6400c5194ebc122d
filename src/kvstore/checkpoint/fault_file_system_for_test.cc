#include "src/kvstore/checkpoint/fault_file_system_for_test.h"

#include <filesystem>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "src/base/check.h"

namespace tidemark::kvstore {

using rocksdb::FileOptions;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

namespace {

std::string DirectoryOf(const std::string& path) {
  return std::filesystem::path(path).parent_path().string();
}

}  // namespace

class FaultFileSystem::FaultFile : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  FaultFile(FaultFileSystem& owner, const std::string& path, std::shared_ptr<Inode> inode,
            std::unique_ptr<rocksdb::FSWritableFile> file)
      : FSWritableFileOwnerWrapper(std::move(file)),
        owner_(owner),
        is_table_(absl::EndsWith(path, ".sst")),
        inode_(std::move(inode)) {}

  IOStatus Append(const Slice& data, const IOOptions& options, IODebugContext* debug) override {
    IOStatus status = owner_.Change();
    if (!status.ok()) return status;
    if (is_table_ && data.size() > 0 && owner_.BitTurns()) {
      std::string turned = data.ToString();
      turned[turned.size() / 2] ^= 4;
      return target()->Append(turned, options, debug);
    }
    if (owner_.SpaceIsLeft()) return target()->Append(data, options, debug);
    status = target()->Append(Slice(data.data(), data.size() / 2), options, debug);
    return status.ok() ? owner_.NoSpace() : status;
  }
  IOStatus Append(const Slice& data, const IOOptions& options,
                  const rocksdb::DataVerificationInfo& verification,
                  IODebugContext* debug) override {
    return Append(data, options, debug);
  }
  IOStatus Sync(const IOOptions& options, IODebugContext* debug) override {
    return owner_.SyncFile(inode_);
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
    return owner_.SyncFile(inode_);
  }
  IOStatus RangeSync(uint64_t offset, uint64_t size_bytes, const IOOptions& options,
                     IODebugContext* debug) override {
    return IOStatus::OK();  // promises nothing
  }

 private:
  FaultFileSystem& owner_;
  const bool is_table_;
  const std::shared_ptr<Inode> inode_;
};

class FaultFileSystem::FaultDirectory : public rocksdb::FSDirectoryWrapper {
 public:
  FaultDirectory(FaultFileSystem& owner, std::string path,
                 std::unique_ptr<rocksdb::FSDirectory> directory)
      : FSDirectoryWrapper(std::move(directory)), owner_(owner), path_(std::move(path)) {}

  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
    return owner_.SyncDirectory(path_);
  }
  IOStatus FsyncWithDirOptions(const IOOptions& options, IODebugContext* debug,
                               const rocksdb::DirFsyncOptions& details) override {
    return owner_.SyncDirectory(path_);
  }

 private:
  FaultFileSystem& owner_;
  const std::string path_;
};

class FaultFileSystem::NotedFile : public rocksdb::FSRandomAccessFileOwnerWrapper {
 public:
  NotedFile(FaultFileSystem& owner, std::string path,
            std::unique_ptr<rocksdb::FSRandomAccessFile> file)
      : FSRandomAccessFileOwnerWrapper(std::move(file)), owner_(owner), path_(std::move(path)) {}
  ~NotedFile() override {
    if (!absl::EndsWith(path_, ".sst")) return;
    MutexLock lock(&owner_.mutex_);
    owner_.closed_.insert(path_);
    if (pattern_ != kRandom) owner_.read_ahead_.insert(path_);
  }

  void Hint(AccessPattern pattern) override {
    pattern_ = pattern;
    target()->Hint(pattern);
  }
  IOStatus InvalidateCache(size_t offset, size_t length) override {
    {
      MutexLock lock(&owner_.mutex_);
      owner_.forgotten_.insert(path_);
    }
    return target()->InvalidateCache(offset, length);
  }

 private:
  FaultFileSystem& owner_;
  const std::string path_;
  AccessPattern pattern_ = kNormal;
};

FaultFileSystem::FaultFileSystem(std::string keep_directory)
    : GatedFileSystem(rocksdb::FileSystem::Default()), keep_directory_(std::move(keep_directory)) {}

void FaultFileSystem::FailSyncAfter(int64_t syncs) {
  MutexLock lock(&mutex_);
  syncs_left_ = syncs;
  was_struck_ = false;
}
void FaultFileSystem::FillDiskAfter(int64_t writes, bool by_quota) {
  MutexLock lock(&mutex_);
  by_quota_ = by_quota;
  writes_left_ = writes;
  was_struck_ = false;
}
void FaultFileSystem::TurnBitAfter(int64_t table_writes) {
  MutexLock lock(&mutex_);
  table_writes_left_ = table_writes;
  was_struck_ = false;
}
void FaultFileSystem::StopAfter(int64_t changes) {
  MutexLock lock(&mutex_);
  changes_left_ = changes;
  was_struck_ = false;
}
void FaultFileSystem::ClearFaults() {
  MutexLock lock(&mutex_);
  syncs_left_ = writes_left_ = table_writes_left_ = changes_left_ = kNever;
}
bool FaultFileSystem::was_struck() const {
  MutexLock lock(&mutex_);
  return was_struck_;
}

bool FaultFileSystem::TakeOne(int64_t& left) {
  if (left == kNever) return true;
  if (left == 0) return false;
  --left;
  return true;
}

IOStatus FaultFileSystem::Change() {
  MutexLock lock(&mutex_);
  if (TakeOne(changes_left_)) return IOStatus::OK();
  was_struck_ = true;
  return IOStatus::IOError("the process is gone");
}

bool FaultFileSystem::SpaceIsLeft() {
  MutexLock lock(&mutex_);
  if (TakeOne(writes_left_)) return true;
  was_struck_ = true;
  return false;
}

bool FaultFileSystem::IsFull() {
  MutexLock lock(&mutex_);
  if (writes_left_ > 0) return false;
  was_struck_ = true;
  return true;
}

bool FaultFileSystem::BitTurns() {
  MutexLock lock(&mutex_);
  if (TakeOne(table_writes_left_)) return false;
  table_writes_left_ = kNever;
  was_struck_ = true;
  return true;
}

// As RocksDB names them.
IOStatus FaultFileSystem::NoSpace() const {
  MutexLock lock(&mutex_);
  return by_quota_ ? IOStatus::IOError("While appending to file", "Disk quota exceeded")
                   : IOStatus::NoSpace("the disk is full");
}

void FaultFileSystem::LoseUnsyncedBytes(const Inode& inode) {
  std::filesystem::resize_file(inode.kept_path, inode.synced_bytes);
}

IOStatus FaultFileSystem::SyncFile(const std::shared_ptr<Inode>& inode) {
  IOStatus status = Change();
  if (!status.ok()) return status;
  MutexLock lock(&mutex_);
  if (!TakeOne(syncs_left_)) {
    was_struck_ = true;
    syncs_left_ = kNever;
    LoseUnsyncedBytes(*inode);
    return IOStatus::IOError("the disk does not answer");
  }
  return target()->GetFileSize(inode->kept_path, IOOptions(), &inode->synced_bytes, nullptr);
}

IOStatus FaultFileSystem::SyncDirectory(const std::string& directory) {
  IOStatus status = Change();
  if (!status.ok()) return status;
  MutexLock lock(&mutex_);
  if (!TakeOne(syncs_left_)) {
    was_struck_ = true;
    syncs_left_ = kNever;
    return IOStatus::IOError("the disk does not answer");
  }
  for (auto at = durable_names_.begin(); at != durable_names_.end();) {
    bool is_gone = DirectoryOf(at->first) == directory && !names_.contains(at->first);
    at = is_gone ? durable_names_.erase(at) : std::next(at);
  }
  for (const auto& [path, inode] : names_) {
    if (DirectoryOf(path) == directory) durable_names_[path] = inode;
  }
  return IOStatus::OK();
}

std::shared_ptr<FaultFileSystem::Inode> FaultFileSystem::InodeOf(const std::string& path) {
  std::shared_ptr<Inode>& inode = names_[path];
  if (inode == nullptr) {
    inode = std::make_shared<Inode>();
    inode->kept_path = absl::StrCat(keep_directory_, "/", next_inode_++);
    CHECK(target()->LinkFile(path, inode->kept_path, IOOptions(), nullptr).ok());
    inode->synced_bytes = std::filesystem::file_size(path);
    durable_names_[path] = inode;
  }
  return inode;
}

IOStatus FaultFileSystem::NewWritableFile(const std::string& path, const FileOptions& options,
                                          std::unique_ptr<rocksdb::FSWritableFile>* file,
                                          IODebugContext* debug) {
  IOStatus status = Change();
  if (status.ok() && IsFull()) status = NoSpace();
  if (!status.ok()) return status;
  // A name used again: the file before stays reachable by its second name.
  target()->DeleteFile(path, IOOptions(), debug).PermitUncheckedError();
  status = target()->NewWritableFile(path, options, file, debug);
  if (!status.ok()) return status;
  MutexLock lock(&mutex_);
  auto inode = std::make_shared<Inode>();
  inode->kept_path = absl::StrCat(keep_directory_, "/", next_inode_++);
  status = target()->LinkFile(path, inode->kept_path, IOOptions(), debug);
  if (!status.ok()) return status;
  names_[path] = inode;
  *file = std::make_unique<FaultFile>(*this, path, std::move(inode), std::move(*file));
  return status;
}

void FaultFileSystem::Guard(const std::string& path,
                            std::unique_ptr<rocksdb::FSWritableFile>* file) {
  MutexLock lock(&mutex_);
  *file = std::make_unique<FaultFile>(*this, path, InodeOf(path), std::move(*file));
}

void FaultFileSystem::Guard(const std::string& path,
                            std::unique_ptr<rocksdb::FSDirectory>* directory) {
  *directory = std::make_unique<FaultDirectory>(*this, path, std::move(*directory));
}

std::set<std::string> FaultFileSystem::forgotten() const {
  MutexLock lock(&mutex_);
  return forgotten_;
}

std::set<std::string> FaultFileSystem::read_ahead() const {
  MutexLock lock(&mutex_);
  return read_ahead_;
}

std::set<std::string> FaultFileSystem::closed() const {
  MutexLock lock(&mutex_);
  return closed_;
}

IOStatus FaultFileSystem::NewRandomAccessFile(const std::string& path, const FileOptions& options,
                                              std::unique_ptr<rocksdb::FSRandomAccessFile>* file,
                                              IODebugContext* debug) {
  IOStatus status = target()->NewRandomAccessFile(path, options, file, debug);
  if (status.ok()) *file = std::make_unique<NotedFile>(*this, path, std::move(*file));
  return status;
}

IOStatus FaultFileSystem::DeleteFile(const std::string& path, const IOOptions& options,
                                     IODebugContext* debug) {
  IOStatus status = GatedFileSystem::DeleteFile(path, options, debug);
  MutexLock lock(&mutex_);
  if (status.ok()) names_.erase(path);
  return status;
}

IOStatus FaultFileSystem::RenameFile(const std::string& from, const std::string& to,
                                     const IOOptions& options, IODebugContext* debug) {
  IOStatus status = GatedFileSystem::RenameFile(from, to, options, debug);
  MutexLock lock(&mutex_);
  if (!status.ok() || !names_.contains(from)) return status;
  names_[to] = names_[from];
  names_.erase(from);
  return status;
}

IOStatus FaultFileSystem::LinkFile(const std::string& from, const std::string& to,
                                   const IOOptions& options, IODebugContext* debug) {
  if (IsFull()) return NoSpace();
  IOStatus status = GatedFileSystem::LinkFile(from, to, options, debug);
  MutexLock lock(&mutex_);
  if (status.ok()) names_[to] = InodeOf(from);
  return status;
}

void FaultFileSystem::LosePower(Random& random) {
  ClearFaults();
  MutexLock lock(&mutex_);
  std::set<std::string> directories;
  for (const Names* names : {&names_, &durable_names_}) {
    for (const auto& [path, inode] : *names) directories.insert(DirectoryOf(path));
  }
  Names left;
  for (const std::string& directory : directories) {
    const Names& source = random.Next() % 2 == 0 ? names_ : durable_names_;
    for (const auto& [path, inode] : source) {
      if (DirectoryOf(path) == directory) left[path] = inode;
    }
  }
  for (const auto& [path, inode] : names_) {
    target()->DeleteFile(path, IOOptions(), nullptr).PermitUncheckedError();
  }
  std::set<std::shared_ptr<Inode>> inodes;
  for (const auto& [path, inode] : left) {
    // What a caller removed past us (leftovers at open) stays removed; its name is in neither.
    CHECK(target()->LinkFile(inode->kept_path, path, IOOptions(), nullptr).ok());
    inodes.insert(inode);
  }
  for (const std::shared_ptr<Inode>& inode : inodes) {
    if (random.Next() % 2 == 0) LoseUnsyncedBytes(*inode);
    CHECK(target()->GetFileSize(inode->kept_path, IOOptions(), &inode->synced_bytes, nullptr).ok());
  }
  names_ = left;
  durable_names_ = std::move(left);
}

}  // namespace tidemark::kvstore
