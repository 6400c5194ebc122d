#include "src/base/posix_file_system.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "src/base/posix_direct_writer.h"
#include "src/base/posix_fd.h"

namespace tidemark {
namespace {

// Above this a read asks for the file's size before it allocates.
constexpr size_t kUncheckedReadBytes = 1 << 20;

std::vector<iovec> ToIovecs(absl::Span<const absl::string_view> runs) {
  std::vector<iovec> vectors;
  vectors.reserve(runs.size());
  for (absl::string_view run : runs) {
    if (!run.empty()) vectors.push_back({const_cast<char*>(run.data()), run.size()});
  }
  return vectors;
}

// Drops `written` bytes from the front; `next` is the first vector with bytes left.
void Advance(std::vector<iovec>& vectors, size_t& next, size_t written) {
  while (written > 0) {
    iovec& front = vectors[next];
    const size_t step = std::min(written, front.iov_len);
    front.iov_base = static_cast<char*>(front.iov_base) + step;
    front.iov_len -= step;
    written -= step;
    if (front.iov_len == 0) ++next;
  }
}

class PosixFile : public File {
 public:
  PosixFile(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  absl::StatusOr<std::string> ReadAt(uint64_t offset, size_t size) override {
    if (size > kUncheckedReadBytes) {
      absl::StatusOr<uint64_t> file_size = Size();
      if (!file_size.ok()) return file_size.status();
      size = std::min<uint64_t>(size, *file_size > offset ? *file_size - offset : 0);
    }
    std::string bytes(size, '\0');
    size_t filled = 0;
    while (filled < size) {
      const ssize_t got = RetryInterrupted(
          [&] { return ::pread(fd_.get(), &bytes[filled], size - filled, offset + filled); });
      if (got < 0) return ErrnoStatus("pread", path_, errno);
      if (got == 0) break;
      filled += static_cast<size_t>(got);
    }
    bytes.resize(filled);
    return bytes;
  }

  void ReadAhead(uint64_t offset, uint64_t size_bytes) override {
    ::posix_fadvise(fd_.get(), static_cast<off_t>(offset), static_cast<off_t>(size_bytes),
                    POSIX_FADV_WILLNEED);
  }

  absl::Status WriteAt(uint64_t offset, absl::Span<const absl::string_view> runs) override {
    std::vector<iovec> vectors = ToIovecs(runs);
    size_t next = 0;
    while (next < vectors.size()) {
      const int count = static_cast<int>(std::min<size_t>(vectors.size() - next, IOV_MAX));
      const ssize_t written =
          RetryInterrupted([&] { return ::pwritev(fd_.get(), &vectors[next], count, offset); });
      if (written < 0) return ErrnoStatus("pwritev", path_, errno);
      // A disk that takes nothing without saying why would make this loop endless.
      if (written == 0) return ErrnoStatus("pwritev", path_, ENOSPC);
      offset += static_cast<uint64_t>(written);
      Advance(vectors, next, static_cast<size_t>(written));
    }
    return absl::OkStatus();
  }

  absl::Status WriteDirectly(uint64_t offset, absl::Span<const absl::string_view> runs,
                             Durability durability) override {
    if (!direct_.has_value()) direct_.emplace(fd_.get());
    return direct_->Write(offset, runs, durability, path_);
  }

  absl::Status Preallocate(uint64_t size_bytes) override {
    return PreallocateFd(fd_.get(), size_bytes, path_);
  }

  absl::Status PreallocateAnew(uint64_t size_bytes) override {
    absl::StatusOr<uint64_t> size = Size();
    if (!size.ok()) return size.status();
    const auto wanted = static_cast<off_t>(size_bytes);
    const int result =
        RetryInterrupted([&] { return ::fallocate(fd_.get(), FALLOC_FL_ZERO_RANGE, 0, wanted); });
    // Without the call, or where it would take new space first.
    if (result != 0 && (errno == EOPNOTSUPP || errno == ENOSYS || errno == ENOSPC)) {
      return File::PreallocateAnew(size_bytes);
    }
    if (result != 0) return ErrnoStatus("fallocate", path_, errno);
    if (*size > size_bytes) return Truncate(size_bytes);
    // Some do not make a file longer by that (ZFS).
    return *size < size_bytes ? Preallocate(size_bytes) : absl::OkStatus();
  }

  absl::Status Truncate(uint64_t size_bytes) override {
    const int result =
        RetryInterrupted([&] { return ::ftruncate(fd_.get(), static_cast<off_t>(size_bytes)); });
    return result == 0 ? absl::OkStatus() : ErrnoStatus("ftruncate", path_, errno);
  }

  absl::Status SyncData() override {
    const int result = RetryInterrupted([&] { return ::fdatasync(fd_.get()); });
    return result == 0 ? absl::OkStatus() : ErrnoStatus("fdatasync", path_, errno);
  }

  absl::StatusOr<uint64_t> Size() override {
    struct stat info;
    if (::fstat(fd_.get(), &info) != 0) return ErrnoStatus("fstat", path_, errno);
    return static_cast<uint64_t>(info.st_size);
  }

 private:
  UniqueFd fd_;
  std::optional<PosixDirectWriter> direct_;  // from the first direct write on
  const std::string path_;
};

class PosixFileLock : public FileLock {
 public:
  explicit PosixFileLock(UniqueFd fd) : fd_(std::move(fd)) {}

 private:
  UniqueFd fd_;  // closing it releases the lock
};

int FlagsOf(OpenMode mode) {
  switch (mode) {
    case OpenMode::kReadOnly:
      return O_RDONLY;
    case OpenMode::kReadWrite:
      return O_RDWR;
    case OpenMode::kCreateExclusive:
      return O_RDWR | O_CREAT | O_EXCL;
  }
  return O_RDONLY;
}

std::string ParentOf(const std::string& path) {
  const std::string parent = std::filesystem::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

// Its stat tells of a device (for each subvolume, for each layer) that the table of locks does not
// know: there an equal inode has to do.
bool HasDevicesOfItsOwn(const std::string& path) {
  struct statfs info;
  if (::statfs(path.c_str(), &info) != 0) return false;
  return info.f_type == BTRFS_SUPER_MAGIC || info.f_type == OVERLAYFS_SUPER_MAGIC;
}

}  // namespace

absl::StatusOr<std::unique_ptr<File>> PosixFileSystem::Open(const std::string& path,
                                                            OpenMode mode) {
  absl::StatusOr<UniqueFd> fd =
      OpenFd(path, FlagsOf(mode), mode == OpenMode::kCreateExclusive ? "create" : "open");
  if (!fd.ok()) return fd.status();
  return std::make_unique<PosixFile>(*std::move(fd), path);
}

bool PosixFileSystem::Exists(const std::string& path) {
  struct stat info;
  return ::stat(path.c_str(), &info) == 0;
}

absl::StatusOr<std::vector<std::string>> PosixFileSystem::List(const std::string& directory) {
  std::error_code error;
  std::vector<std::string> names;
  std::filesystem::directory_iterator entry(directory, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    names.push_back(entry->path().filename().string());
  }
  if (error) return ErrnoStatus("list", directory, error.value());
  std::sort(names.begin(), names.end());
  return names;
}

absl::Status PosixFileSystem::CreateDirectories(const std::string& directory) {
  std::string path = directory;
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  struct stat info;
  if (::stat(path.c_str(), &info) == 0) {
    return S_ISDIR(info.st_mode) ? absl::OkStatus() : ErrnoStatus("mkdir", path, ENOTDIR);
  }
  if (errno != ENOENT) return ErrnoStatus("stat", path, errno);
  const std::string parent = ParentOf(path);
  if (absl::Status status = CreateDirectories(parent); !status.ok()) return status;
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return ErrnoStatus("mkdir", path, errno);
  return SyncDirectory(parent);
}

absl::Status PosixFileSystem::Rename(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) == 0) return absl::OkStatus();
  return ErrnoStatus("rename", absl::StrCat(from, " to ", to), errno);
}

absl::Status PosixFileSystem::Remove(const std::string& path) {
  return ::remove(path.c_str()) == 0 ? absl::OkStatus() : ErrnoStatus("remove", path, errno);
}

absl::Status PosixFileSystem::SyncDirectory(const std::string& directory) {
  absl::StatusOr<UniqueFd> fd = OpenFd(directory, O_RDONLY | O_DIRECTORY, "open directory");
  if (!fd.ok()) return fd.status();
  const int result = RetryInterrupted([&] { return ::fsync(fd->get()); });
  return result == 0 ? absl::OkStatus() : ErrnoStatus("fsync", directory, errno);
}

absl::StatusOr<std::unique_ptr<FileLock>> PosixFileSystem::Lock(const std::string& path) {
  absl::StatusOr<UniqueFd> fd = OpenFd(path, O_RDWR | O_CREAT, "open lock file");
  if (!fd.ok()) return fd.status();
  if (RetryInterrupted([&] { return ::flock(fd->get(), LOCK_EX | LOCK_NB); }) == 0) {
    return std::make_unique<PosixFileLock>(*std::move(fd));
  }
  if (errno == EWOULDBLOCK) {
    return absl::FailedPreconditionError(absl::StrCat("lock ", path, ": held by another process"));
  }
  return ErrnoStatus("lock", path, errno);
}

// By the kernel's table: trying the lock would refuse a server that starts at that moment.
absl::StatusOr<bool> PosixFileSystem::IsLocked(const std::string& path) {
  struct stat info;
  if (::stat(path.c_str(), &info) != 0) return ErrnoStatus("stat", path, errno);
  std::string wanted = absl::StrCat(":", uint64_t{info.st_ino}, " ");
  if (!HasDevicesOfItsOwn(path)) {
    wanted = absl::StrFormat(" %02x:%02x%s", major(info.st_dev), minor(info.st_dev), wanted);
  }
  std::ifstream table("/proc/locks");
  if (!table) return absl::UnimplementedError(absl::StrCat(path, ": no /proc/locks here"));
  for (std::string line; std::getline(table, line);) {
    if (absl::StrContains(line, " FLOCK ") && absl::StrContains(line, wanted)) return true;
  }
  return false;
}

}  // namespace tidemark
