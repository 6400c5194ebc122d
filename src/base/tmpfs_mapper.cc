#include "src/base/tmpfs_mapper.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/types/span.h"
#include "src/base/check.h"
#include "src/base/posix_fd.h"
#include "src/base/posix_file_system.h"

namespace tidemark {
namespace {

constexpr absl::string_view kRegionSuffix = ".region";
constexpr absl::string_view kLockName = "lock";

void Unmap(absl::Span<char> mapped) { CHECK(::munmap(mapped.data(), mapped.size()) == 0); }

class MappedRegion : public MemoryRegion {
 public:
  MappedRegion(char* data, size_t size_bytes) : mapped_(data, size_bytes) {}
  ~MappedRegion() override { Unmap(mapped_); }
  char* data() override { return mapped_.data(); }
  size_t size_bytes() const override { return mapped_.size(); }
  void Discard() override {}

 private:
  const absl::Span<char> mapped_;
};

class TmpfsRegion : public MemoryRegion {
 public:
  TmpfsRegion(absl::Span<char> mapped, std::string path, std::shared_ptr<FileLock> lock,
              std::shared_ptr<TmpfsSpace> space, std::shared_ptr<BlockingRunner> unmaps)
      : mapped_(mapped),
        path_(std::move(path)),
        lock_(std::move(lock)),
        space_(std::move(space)),
        unmaps_(std::move(unmaps)) {
    space_->Refresh();
  }
  ~TmpfsRegion() override {
    unmaps_->Run([mapped = mapped_, lock = lock_, space = space_] {
      Unmap(mapped);
      space->Refresh();
    });
  }
  char* data() override { return mapped_.data(); }
  size_t size_bytes() const override { return mapped_.size(); }
  // The name goes at once, so that a process that starts now does not take it for a leftover.
  void Discard() override { ::unlink(path_.c_str()); }

 private:
  const absl::Span<char> mapped_;
  const std::string path_;
  const std::shared_ptr<FileLock> lock_;
  const std::shared_ptr<TmpfsSpace> space_;
  const std::shared_ptr<BlockingRunner> unmaps_;
};

// Adds what was asked for: the size is what the operator has to act on.
absl::Status WithSize(const absl::Status& status, size_t size_bytes) {
  return absl::Status(status.code(),
                      absl::StrCat("memory region of ", size_bytes, " bytes: ", status.message()));
}

absl::StatusOr<char*> Map(int fd, int flags, size_t size_bytes, const std::string& name) {
  void* data = ::mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, flags, fd, 0);
  if (data != MAP_FAILED) return static_cast<char*>(data);
  const absl::Status status = ErrnoStatus("mmap", name, errno);
  return errno == ENOMEM ? absl::ResourceExhaustedError(status.message()) : status;
}

absl::StatusOr<char*> CreateAndMap(const std::string& path, size_t size_bytes) {
  absl::StatusOr<UniqueFd> fd = OpenFd(path, O_RDWR | O_CREAT | O_EXCL, "create");
  if (!fd.ok()) return fd.status();
  absl::Status reserved = PreallocateFd(fd->get(), size_bytes, path);
  // All of it will be written: one fault for each page would cost several times as much.
  absl::StatusOr<char*> data = reserved.ok()
                                   ? Map(fd->get(), MAP_SHARED | MAP_POPULATE, size_bytes, path)
                                   : std::move(reserved);
  if (!data.ok()) ::unlink(path.c_str());
  return data;
}

// tmpfs counts the pages that a file has, in memory or swapped out.
bool HasAllPages(const struct stat& info) {
  constexpr off_t kBlockBytes = 512;
  return info.st_blocks * kBlockBytes >= info.st_size;
}

// Reserves the pages that are missing: they would show themselves as SIGBUS.
absl::StatusOr<char*> OpenAndMap(const std::string& path, size_t* size_bytes) {
  absl::StatusOr<UniqueFd> fd = OpenFd(path, O_RDWR, "open");
  if (!fd.ok()) return fd.status();
  struct stat info {};
  if (::fstat(fd->get(), &info) != 0) return ErrnoStatus("stat", path, errno);
  if (info.st_size <= 0) return absl::DataLossError(absl::StrCat(path, " is empty"));
  *size_bytes = static_cast<size_t>(info.st_size);
  if (!HasAllPages(info)) {
    absl::Status reserved = PreallocateFd(fd->get(), *size_bytes, path);
    if (!reserved.ok()) return reserved;
  }
  return Map(fd->get(), MAP_SHARED, *size_bytes, path);
}

absl::Status ReadInto(int fd, char* data, size_t size_bytes, const std::string& path) {
  size_t done = 0;
  while (done < size_bytes) {
    const ssize_t got = ::pread(fd, data + done, size_bytes - done, static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus("read", path, errno);
    if (got == 0) return absl::DataLossError(absl::StrCat(path, " has become shorter"));
    done += static_cast<size_t>(got);
  }
  return absl::OkStatus();
}

// The page cache's own pages until somebody writes. Not so for a file with holes: on tmpfs even
// reading them through a mapping takes memory that the file then keeps.
absl::StatusOr<char*> OpenAndCopy(const std::string& path, size_t* size_bytes) {
  absl::StatusOr<UniqueFd> fd = OpenFd(path, O_RDONLY, "open");
  if (!fd.ok()) return fd.status();
  struct stat info {};
  if (::fstat(fd->get(), &info) != 0) return ErrnoStatus("stat", path, errno);
  if (info.st_size <= 0) return absl::DataLossError(absl::StrCat(path, " is empty"));
  *size_bytes = static_cast<size_t>(info.st_size);
  if (HasAllPages(info)) {
    return Map(fd->get(), MAP_PRIVATE | MAP_NORESERVE, *size_bytes, path);
  }
  absl::StatusOr<char*> data = Map(-1, MAP_PRIVATE | MAP_ANONYMOUS, *size_bytes, path);
  if (!data.ok()) return data;
  absl::Status read = ReadInto(fd->get(), *data, *size_bytes, path);
  if (read.ok()) return data;
  CHECK(::munmap(*data, *size_bytes) == 0);
  return read;
}

std::vector<std::string> RegionNames(const std::vector<std::string>& files) {
  std::vector<std::string> names;
  for (absl::string_view name : files) {
    if (absl::ConsumeSuffix(&name, kRegionSuffix)) names.emplace_back(name);
  }
  return names;
}

}  // namespace

void TmpfsSpace::Refresh() {
  struct statvfs info {};
  if (::statvfs(directory_.c_str(), &info) != 0) return;
  total_bytes_ = uint64_t{info.f_blocks} * info.f_frsize;
  free_bytes_ = uint64_t{info.f_bavail} * info.f_frsize;
}

TmpfsMapper::TmpfsMapper(std::string directory, std::set<std::string> leftovers,
                         std::shared_ptr<FileLock> lock, std::shared_ptr<BlockingRunner> unmaps)
    : directory_(std::move(directory)),
      lock_(std::move(lock)),
      space_(std::make_shared<TmpfsSpace>(directory_)),
      unmaps_(std::move(unmaps)),
      leftovers_(std::move(leftovers)) {}

std::string TmpfsMapper::PathOf(const std::string& name) const {
  CHECK(!name.empty() && !absl::StrContains(name, "/"));
  return absl::StrCat(directory_, "/", name, kRegionSuffix);
}

absl::StatusOr<std::unique_ptr<TmpfsMapper>> TmpfsMapper::Lock(
    const std::string& directory, std::shared_ptr<BlockingRunner> unmaps) {
  PosixFileSystem files;
  if (absl::Status status = files.CreateDirectories(directory); !status.ok()) return status;
  absl::StatusOr<std::unique_ptr<FileLock>> lock =
      files.Lock(absl::StrCat(directory, "/", kLockName));
  if (!lock.ok()) return lock.status();
  absl::StatusOr<std::vector<std::string>> names = files.List(directory);
  if (!names.ok()) return names.status();
  const std::vector<std::string> regions = RegionNames(*names);
  return std::unique_ptr<TmpfsMapper>(
      new TmpfsMapper(directory, std::set<std::string>(regions.begin(), regions.end()),
                      *std::move(lock), std::move(unmaps)));
}

absl::StatusOr<std::unique_ptr<MemoryRegion>> TmpfsMapper::Create(const std::string& name,
                                                                  size_t size_bytes) {
  CHECK(size_bytes > 0);
  std::string path = PathOf(name);
  absl::StatusOr<char*> data = CreateAndMap(path, size_bytes);
  if (!data.ok()) return WithSize(data.status(), size_bytes);
  return std::make_unique<TmpfsRegion>(absl::MakeSpan(*data, size_bytes), std::move(path), lock_,
                                       space_, unmaps_);
}

std::vector<std::string> TmpfsMapper::Leftovers() const {
  MutexLock lock(&mutex_);
  return {leftovers_.begin(), leftovers_.end()};
}

absl::StatusOr<std::unique_ptr<MemoryRegion>> TmpfsMapper::Open(const std::string& name) {
  std::string path = PathOf(name);
  size_t size_bytes = 0;
  absl::StatusOr<char*> data = OpenAndMap(path, &size_bytes);
  if (!data.ok()) return data.status();
  MutexLock lock(&mutex_);
  leftovers_.erase(name);
  return std::make_unique<TmpfsRegion>(absl::MakeSpan(*data, size_bytes), std::move(path), lock_,
                                       space_, unmaps_);
}

void TmpfsMapper::Remove(const std::string& name) {
  ::unlink(PathOf(name).c_str());
  MutexLock lock(&mutex_);
  leftovers_.erase(name);
}

absl::StatusOr<std::unique_ptr<TmpfsSnapshot>> TmpfsSnapshot::Look(const std::string& directory) {
  PosixFileSystem files;
  absl::StatusOr<std::vector<std::string>> names = files.List(directory);
  if (!names.ok()) return names.status();
  return std::unique_ptr<TmpfsSnapshot>(new TmpfsSnapshot(directory, RegionNames(*names)));
}

std::string TmpfsSnapshot::LockPath(const std::string& directory) {
  return absl::StrCat(directory, "/", kLockName);
}

absl::StatusOr<std::unique_ptr<MemoryRegion>> TmpfsSnapshot::Create(const std::string& name,
                                                                    size_t size_bytes) {
  return AnonymousMapper().Create(name, size_bytes);
}

absl::StatusOr<std::unique_ptr<MemoryRegion>> TmpfsSnapshot::Open(const std::string& name) {
  CHECK(!name.empty() && !absl::StrContains(name, "/"));
  size_t size_bytes = 0;
  absl::StatusOr<char*> data =
      OpenAndCopy(absl::StrCat(directory_, "/", name, kRegionSuffix), &size_bytes);
  if (!data.ok()) return data.status();
  return std::make_unique<MappedRegion>(*data, size_bytes);
}

absl::StatusOr<std::unique_ptr<MemoryRegion>> AnonymousMapper::Create(const std::string& name,
                                                                      size_t size_bytes) {
  CHECK(size_bytes > 0);
  absl::StatusOr<char*> data = Map(-1, MAP_PRIVATE | MAP_ANONYMOUS, size_bytes, name);
  if (!data.ok()) return WithSize(data.status(), size_bytes);
  return std::make_unique<MappedRegion>(*data, size_bytes);
}

absl::StatusOr<std::unique_ptr<MemoryRegion>> AnonymousMapper::Open(const std::string& name) {
  return absl::NotFoundError(absl::StrCat("anonymous memory keeps nothing: ", name));
}

void AnonymousMapper::Remove(const std::string&) {}

}  // namespace tidemark
