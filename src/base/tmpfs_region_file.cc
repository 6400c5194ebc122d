#include "src/base/tmpfs_region_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "src/base/check.h"
#include "src/base/posix_fd.h"

namespace tidemark {
namespace {

absl::StatusOr<absl::Span<char>> Map(int fd, int flags, size_t size_bytes,
                                     const std::string& name) {
  void* data = ::mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, flags, fd, 0);
  if (data != MAP_FAILED) return absl::MakeSpan(static_cast<char*>(data), size_bytes);
  const absl::Status status = ErrnoStatus("mmap", name, errno);
  return errno == ENOMEM ? absl::ResourceExhaustedError(status.message()) : status;
}

struct OpenFile {
  UniqueFd fd;
  size_t size_bytes = 0;
  bool has_all_pages = false;
};

absl::StatusOr<OpenFile> Open(const std::string& path, int flags) {
  absl::StatusOr<UniqueFd> fd = OpenFd(path, flags, "open");
  if (!fd.ok()) return fd.status();
  struct stat info {};
  if (::fstat(fd->get(), &info) != 0) return ErrnoStatus("stat", path, errno);
  if (info.st_size <= 0) return absl::DataLossError(absl::StrCat(path, " is empty"));
  // tmpfs counts the pages that a file has, in memory or swapped out.
  constexpr off_t kBlockBytes = 512;
  return OpenFile{*std::move(fd), static_cast<size_t>(info.st_size),
                  info.st_blocks * kBlockBytes >= info.st_size};
}

absl::Status ReadInto(int fd, absl::Span<char> data, const std::string& path) {
  size_t done = 0;
  while (done < data.size()) {
    const ssize_t got =
        ::pread(fd, data.data() + done, data.size() - done, static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus("read", path, errno);
    if (got == 0) return absl::DataLossError(absl::StrCat(path, " has become shorter"));
    done += static_cast<size_t>(got);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<absl::Span<char>> CreateRegionFile(const std::string& path, size_t size_bytes) {
  absl::StatusOr<UniqueFd> fd = OpenFd(path, O_RDWR | O_CREAT | O_EXCL, "create");
  if (!fd.ok()) return fd.status();
  absl::Status reserved = PreallocateFd(fd->get(), size_bytes, path);
  // All of it will be written: one fault for each page would cost several times as much.
  absl::StatusOr<absl::Span<char>> mapped =
      reserved.ok() ? Map(fd->get(), MAP_SHARED | MAP_POPULATE, size_bytes, path)
                    : std::move(reserved);
  if (!mapped.ok()) ::unlink(path.c_str());
  return mapped;
}

absl::StatusOr<absl::Span<char>> OpenRegionFile(const std::string& path) {
  absl::StatusOr<OpenFile> file = Open(path, O_RDWR);
  if (!file.ok()) return file.status();
  if (!file->has_all_pages) {
    absl::Status reserved = PreallocateFd(file->fd.get(), file->size_bytes, path);
    // One with holes is none that was finished, whatever keeps them from being filled.
    if (!reserved.ok()) return absl::DataLossError(reserved.message());
  }
  return Map(file->fd.get(), MAP_SHARED, file->size_bytes, path);
}

// The page cache's own pages until somebody writes. Not so for a file with holes: on tmpfs even
// reading them through a mapping takes memory that the file then keeps.
absl::StatusOr<absl::Span<char>> CopyRegionFile(const std::string& path) {
  absl::StatusOr<OpenFile> file = Open(path, O_RDONLY);
  if (!file.ok()) return file.status();
  if (file->has_all_pages) {
    return Map(file->fd.get(), MAP_PRIVATE | MAP_NORESERVE, file->size_bytes, path);
  }
  absl::StatusOr<absl::Span<char>> copy = MapAnonymous(file->size_bytes, path);
  if (!copy.ok()) return copy;
  absl::Status read = ReadInto(file->fd.get(), *copy, path);
  if (read.ok()) return copy;
  Unmap(*copy);
  return read;
}

absl::StatusOr<absl::Span<char>> MapAnonymous(size_t size_bytes, const std::string& name) {
  return Map(-1, MAP_PRIVATE | MAP_ANONYMOUS, size_bytes, name);
}

void Unmap(absl::Span<char> mapped) { CHECK(::munmap(mapped.data(), mapped.size()) == 0); }

}  // namespace tidemark
