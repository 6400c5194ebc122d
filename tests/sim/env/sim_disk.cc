#include "tests/sim/env/sim_disk.h"

#include <algorithm>
#include <filesystem>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "src/base/check.h"
#include "src/base/failpoint.h"
#include "tests/sim/env/seeded_random.h"

namespace tidemark::sim {
namespace {

constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

std::string Normal(const std::string& path) {
  std::string normal = std::filesystem::path(path).lexically_normal().string();
  while (normal.size() > 1 && normal.back() == '/') normal.pop_back();
  return normal;
}

std::string ParentOf(const std::string& path) {
  const std::string parent = std::filesystem::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

std::string NameOf(const std::string& path) {
  return std::filesystem::path(path).filename().string();
}

std::string Text(absl::string_view operation, absl::string_view path, absl::string_view error) {
  return absl::StrCat(operation, " ", path, ": ", error);
}

absl::Status NoSuchFile(absl::string_view operation, absl::string_view path) {
  return absl::NotFoundError(Text(operation, path, "No such file or directory"));
}

absl::Status NoSpace(absl::string_view operation, absl::string_view path) {
  return absl::ResourceExhaustedError(Text(operation, path, "No space left on device"));
}

absl::Status Failed(absl::string_view operation, absl::string_view path, absl::string_view error) {
  return absl::InternalError(Text(operation, path, error));
}

}  // namespace

class SimDisk::SimFile : public File {
 public:
  SimFile(SimDisk& disk, std::shared_ptr<SimInode> inode, std::string path, bool writable)
      : disk_(disk),
        inode_(std::move(inode)),
        path_(std::move(path)),
        writable_(writable),
        incarnation_(disk.incarnation_) {}

  absl::StatusOr<std::string> ReadAt(uint64_t offset, size_t size) override {
    if (absl::Status status = CheckAlive("pread"); !status.ok()) return status;
    if (!TakeOne(disk_.reads_left_)) return Failed("pread", path_, "Input/output error");
    return inode_->Read(offset, size);
  }

  absl::Status WriteAt(uint64_t offset, absl::Span<const absl::string_view> runs) override {
    if (absl::Status status = CheckWritable("pwritev"); !status.ok()) return status;
    const bool fails = !TakeOne(disk_.writes_left_);
    if (!fails && disk_.is_full_copy_on_write_ && DrawOneIn(disk_.random_, 2)) {
      return RefuseCopy(offset, runs);
    }
    for (absl::string_view run : runs) {
      // A failing write has got some of the way.
      if (fails) run = run.substr(0, DrawBelow(disk_.random_, run.size() + 1));
      if (!inode_->Write(offset, run, disk_.FreeBytes())) return NoSpace("pwritev", path_);
      if (fails) break;
      offset += run.size();
    }
    return fails ? Failed("pwritev", path_, "Input/output error") : absl::OkStatus();
  }

  absl::Status WriteDirectly(uint64_t offset, absl::Span<const absl::string_view> runs,
                             Durability durability) override {
    CHECK(offset % kSectorBytes == 0);
    std::string bytes;
    for (absl::string_view run : runs) bytes.append(run.data(), run.size());
    bytes.resize(WholeSectorsBytes(bytes.size()));
    // So that whatever stops it here leaves part of it.
    const uint64_t sectors = bytes.size() / kSectorBytes;
    const absl::string_view part =
        absl::string_view(bytes).substr(0, DrawBelow(disk_.random_, sectors + 1) * kSectorBytes);
    if (absl::Status status = CheckWritable("pwritev2"); !status.ok()) return status;
    if (!inode_->Write(offset, part, disk_.FreeBytes())) return NoSpace("pwritev2", path_);
    if (!TakeOne(disk_.direct_writes_left_)) return File::WriteDirectly(offset, runs, durability);
    FAIL_POINT("disk.partly_written");
    if (durability == Durability::kDurable && !TakeOne(disk_.syncs_left_)) {
      return Failed("pwritev2", path_, "Input/output error");
    }
    absl::Status written = WriteAt(offset, {absl::string_view(bytes)});
    if (!written.ok() || durability == Durability::kWritten) return written;
    FAIL_POINT("disk.written_not_durable");
    ++disk_.syncs_;
    inode_->SyncRange(offset, bytes.size());
    return absl::OkStatus();
  }

  absl::Status Preallocate(uint64_t size_bytes) override {
    if (absl::Status status = CheckWritable("fallocate"); !status.ok()) return status;
    if (!TakeOne(disk_.writes_left_)) return Failed("fallocate", path_, "Input/output error");
    if (!inode_->Preallocate(size_bytes, disk_.FreeBytes())) return NoSpace("fallocate", path_);
    return absl::OkStatus();
  }

  absl::Status Truncate(uint64_t size_bytes) override {
    if (absl::Status status = CheckWritable("ftruncate"); !status.ok()) return status;
    if (!TakeOne(disk_.writes_left_)) return Failed("ftruncate", path_, "Input/output error");
    inode_->Truncate(size_bytes);
    return absl::OkStatus();
  }

  absl::Status SyncData() override {
    if (absl::Status status = CheckAlive("fdatasync"); !status.ok()) return status;
    ++disk_.syncs_;
    if (!TakeOne(disk_.syncs_left_)) {
      inode_->LoseSync();
      return Failed("fdatasync", path_, "Input/output error");
    }
    inode_->Sync();
    return absl::OkStatus();
  }

  absl::StatusOr<uint64_t> Size() override {
    if (absl::Status status = CheckAlive("fstat"); !status.ok()) return status;
    return inode_->size_bytes();
  }

 private:
  absl::Status RefuseCopy(uint64_t offset, absl::Span<const absl::string_view> runs) {
    const uint64_t taken = DrawBelow(disk_.random_, 3);  // none, some, all
    for (absl::string_view run : runs) {
      if (taken == 1) run = run.substr(0, DrawBelow(disk_.random_, run.size() + 1));
      if (taken == 0 || !inode_->Write(offset, run, disk_.FreeBytes())) break;
      offset += run.size();
    }
    return NoSpace("pwritev", path_);
  }
  absl::Status CheckAlive(absl::string_view operation) const {
    if (incarnation_ == disk_.incarnation_) return absl::OkStatus();
    return Failed(operation, path_, "opened before the crash");
  }
  absl::Status CheckWritable(absl::string_view operation) const {
    if (!writable_) return Failed(operation, path_, "Bad file descriptor");
    return CheckAlive(operation);
  }

  SimDisk& disk_;
  const std::shared_ptr<SimInode> inode_;
  const std::string path_;
  const bool writable_;
  const uint64_t incarnation_;
};

class SimDisk::SimLock : public FileLock {
 public:
  SimLock(SimDisk& disk, std::string path)
      : disk_(disk), path_(std::move(path)), incarnation_(disk.incarnation_) {}
  ~SimLock() override {
    if (incarnation_ == disk_.incarnation_) disk_.locked_.erase(path_);
  }

 private:
  SimDisk& disk_;
  const std::string path_;
  const uint64_t incarnation_;
};

bool SimDisk::NameChange::Touches(const std::set<std::string>& paths) const {
  return paths.contains(erased) || paths.contains(added);
}

bool SimDisk::NameChange::TouchesDirectory(const std::string& directory) const {
  return (!erased.empty() && ParentOf(erased) == directory) ||
         (!added.empty() && ParentOf(added) == directory);
}

void SimDisk::NameChange::ApplyTo(Names& names) const {
  if (!erased.empty()) names.erase(erased);
  if (!added.empty()) names[added] = inode;
}

SimDisk::SimDisk(Random& random) : random_(random), directories_{"/", "."} { ClearFaults(); }

SimDisk::~SimDisk() = default;

bool SimDisk::IsDirectory(const std::string& path) const { return directories_.contains(path); }

absl::Status SimDisk::CheckParent(absl::string_view operation, const std::string& path) const {
  return IsDirectory(ParentOf(path)) ? absl::OkStatus() : NoSuchFile(operation, path);
}

void SimDisk::Change(NameChange change) {
  change.ApplyTo(names_);
  unsynced_changes_.push_back(std::move(change));
}

bool SimDisk::TakeOne(int64_t& left) {
  if (left == kNever) return true;
  if (left == 0) return false;
  --left;
  return true;
}

absl::StatusOr<std::unique_ptr<File>> SimDisk::Open(const std::string& raw_path, OpenMode mode) {
  const std::string path = Normal(raw_path);
  if (IsDirectory(path)) return Failed("open", path, "Is a directory");
  auto entry = names_.find(path);
  if (mode == OpenMode::kCreateExclusive) {
    if (absl::Status status = CheckParent("create", path); !status.ok()) return status;
    if (entry != names_.end()) return absl::AlreadyExistsError(Text("create", path, "File exists"));
    if (FreeBytes() == 0) return NoSpace("create", path);
    Change({.erased = "", .added = path, .inode = std::make_shared<SimInode>()});
    entry = names_.find(path);
  }
  if (entry == names_.end()) return NoSuchFile("open", path);
  return std::make_unique<SimFile>(*this, entry->second, path, mode != OpenMode::kReadOnly);
}

bool SimDisk::Exists(const std::string& raw_path) {
  const std::string path = Normal(raw_path);
  return names_.contains(path) || IsDirectory(path);
}

absl::StatusOr<std::vector<std::string>> SimDisk::List(const std::string& raw_directory) {
  const std::string directory = Normal(raw_directory);
  if (!IsDirectory(directory)) return NoSuchFile("list", directory);
  std::vector<std::string> found;
  for (const auto& [path, inode] : names_) {
    if (ParentOf(path) == directory) found.push_back(NameOf(path));
  }
  for (const std::string& path : directories_) {
    if (path != "/" && path != "." && ParentOf(path) == directory) found.push_back(NameOf(path));
  }
  std::sort(found.begin(), found.end());
  return found;
}

absl::Status SimDisk::CreateDirectories(const std::string& raw_directory) {
  for (std::string path = Normal(raw_directory); !IsDirectory(path); path = ParentOf(path)) {
    if (names_.contains(path)) return Failed("mkdir", path, "Not a directory");
  }
  for (std::string path = Normal(raw_directory); !IsDirectory(path); path = ParentOf(path)) {
    directories_.insert(path);
  }
  return absl::OkStatus();
}

absl::Status SimDisk::Rename(const std::string& raw_from, const std::string& raw_to) {
  const std::string from = Normal(raw_from);
  const std::string to = Normal(raw_to);
  const std::string both = absl::StrCat(from, " to ", to);
  auto entry = names_.find(from);
  if (entry == names_.end() || !IsDirectory(ParentOf(to))) return NoSuchFile("rename", both);
  if (IsDirectory(to)) return Failed("rename", both, "Is a directory");
  if (from != to) Change({.erased = from, .added = to, .inode = entry->second});
  return absl::OkStatus();
}

absl::Status SimDisk::Remove(const std::string& raw_path) {
  const std::string path = Normal(raw_path);
  if (IsDirectory(path)) {
    if (!List(path)->empty()) return Failed("remove", path, "Directory not empty");
    directories_.erase(path);
    return absl::OkStatus();
  }
  if (!names_.contains(path)) return NoSuchFile("remove", path);
  Change({.erased = path, .added = "", .inode = nullptr});
  return absl::OkStatus();
}

// From the newest back: a change is needed by the later ones that touch the same paths.
absl::Status SimDisk::SyncDirectory(const std::string& raw_directory) {
  const std::string directory = Normal(raw_directory);
  if (!IsDirectory(directory)) return NoSuchFile("open directory", directory);
  ++syncs_;
  if (!TakeOne(syncs_left_)) return Failed("fsync", directory, "Input/output error");
  std::set<std::string> needed;
  std::vector<NameChange> synced;
  std::vector<NameChange> unsynced;
  for (auto change = unsynced_changes_.rbegin(); change != unsynced_changes_.rend(); ++change) {
    if (!change->TouchesDirectory(directory) && !change->Touches(needed)) {
      unsynced.push_back(*change);
      continue;
    }
    if (!change->erased.empty()) needed.insert(change->erased);
    if (!change->added.empty()) needed.insert(change->added);
    synced.push_back(*change);
  }
  std::reverse(unsynced.begin(), unsynced.end());
  unsynced_changes_ = std::move(unsynced);
  for (auto change = synced.rbegin(); change != synced.rend(); ++change) {
    change->ApplyTo(durable_names_);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<FileLock>> SimDisk::Lock(const std::string& raw_path) {
  const std::string path = Normal(raw_path);
  if (!names_.contains(path)) {
    absl::StatusOr<std::unique_ptr<File>> created = Open(path, OpenMode::kCreateExclusive);
    if (!created.ok()) return created.status();
  }
  if (!locked_.insert(path).second) {
    return absl::FailedPreconditionError(Text("lock", path, "held by another process"));
  }
  return std::make_unique<SimLock>(*this, path);
}

absl::StatusOr<bool> SimDisk::IsLocked(const std::string& path) {
  return locked_.contains(Normal(path));
}

void SimDisk::Crash() { Crash(static_cast<CrashMode>(DrawBelow(random_, 4))); }

void SimDisk::Crash(CrashMode mode) {
  for (const NameChange& change : std::exchange(unsynced_changes_, {})) {
    const bool kept =
        mode == CrashMode::kKeepAll || (mode != CrashMode::kDropAll && DrawOneIn(random_, 2));
    if (kept) change.ApplyTo(durable_names_);
  }
  names_ = durable_names_;
  std::set<SimInode*> crashed;  // a file may have two names now
  for (const auto& [path, inode] : names_) {
    if (crashed.insert(inode.get()).second) inode->Crash(mode, random_);
  }
  ProcessDied();
}

void SimDisk::ProcessDied() {
  ++incarnation_;
  locked_.clear();
}

void SimDisk::SetCapacityBytes(uint64_t capacity_bytes) { capacity_bytes_ = capacity_bytes; }

void SimDisk::ClearFaults() {
  capacity_bytes_ = std::numeric_limits<uint64_t>::max();
  is_full_copy_on_write_ = false;
  reads_left_ = kNever;
  writes_left_ = kNever;
  syncs_left_ = kNever;
}

absl::Status SimDisk::FlipBit(const std::string& raw_path, uint64_t offset, int bit) {
  auto entry = names_.find(Normal(raw_path));
  if (entry == names_.end()) return NoSuchFile("flip bit", raw_path);
  if (offset >= entry->second->size_bytes()) {
    return absl::OutOfRangeError(Text("flip bit", raw_path, "behind the end"));
  }
  entry->second->FlipBit(offset, bit);
  return absl::OkStatus();
}

std::map<std::string, std::string> SimDisk::DurableFiles() const {
  std::map<std::string, std::string> files;
  for (const auto& [path, inode] : durable_names_) files[path] = inode->DurableBytes();
  return files;
}

std::unique_ptr<SimDisk> SimDisk::CloneDurable() const {
  auto clone = std::make_unique<SimDisk>(random_);
  clone->direct_writes_left_ = direct_writes_left_;
  clone->directories_ = directories_;
  for (const auto& [path, inode] : durable_names_) {
    clone->durable_names_[path] = inode->CloneDurable();
  }
  clone->names_ = clone->durable_names_;
  return clone;
}

uint64_t SimDisk::used_bytes() const {
  uint64_t used = 0;
  for (const auto& [path, inode] : names_) used += inode->allocated_bytes();
  return used;
}

uint64_t SimDisk::FreeBytes() const {
  if (capacity_bytes_ == std::numeric_limits<uint64_t>::max()) return capacity_bytes_;
  const uint64_t used = used_bytes();
  return used < capacity_bytes_ ? capacity_bytes_ - used : 0;
}

}  // namespace tidemark::sim
