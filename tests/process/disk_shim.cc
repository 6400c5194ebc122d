// Preloaded into a server: stands between it and the C library's file calls (see disk_shim.h).
//
// Thread-safe: each call looks at the shared control block, and goes on to the real one.
#include "tests/process/disk_shim.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

using tidemark::process::DiskControl;
using tidemark::process::kControlVariable;
using tidemark::process::kUnderVariable;

constexpr size_t kSectorBytes = 512;

DiskControl* MapControl() {
  const char* path = std::getenv(kControlVariable);
  if (path == nullptr) return nullptr;
  const int fd = static_cast<int>(syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC));
  if (fd < 0) return nullptr;
  void* mapped = mmap(nullptr, sizeof(DiskControl), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  return mapped == MAP_FAILED ? nullptr : static_cast<DiskControl*>(mapped);
}

DiskControl* Control() {
  static DiskControl* const control = MapControl();
  return control;
}

bool IsConcerned(const char* path) {
  const char* under = std::getenv(kUnderVariable);
  return under != nullptr && std::strncmp(path, under, std::strlen(under)) == 0;
}

bool IsConcerned(int fd) {
  char link[64];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  char path[4096];
  const ssize_t size = readlink(link, path, sizeof path - 1);
  if (size <= 0) return false;
  path[size] = '\0';
  return IsConcerned(path);
}

// True when the fault is on and concerns the file, which is then counted.
template <typename File>
bool Has(DiskControl::Fault fault, File file) {
  DiskControl* control = Control();
  if (control == nullptr || control->fault.load() != fault || !IsConcerned(file)) return false;
  control->hits.fetch_add(1);
  return true;
}

void DelayIfSlow(int fd) {
  if (!Has(DiskControl::kSlow, fd)) return;
  const int64_t delay_ms = Control()->delay_ms.load();
  timespec left{delay_ms / 1000, delay_ms % 1000 * 1000000};
  while (nanosleep(&left, &left) != 0 && errno == EINTR) {
  }
}

template <typename Function>
Function Real(const char* name, Function /*type*/) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

bool IsFull(int fd) {
  if (!Has(DiskControl::kFull, fd) && !Has(DiskControl::kFullCopies, fd)) return false;
  errno = ENOSPC;
  return true;
}

// As on ext4: what was reserved can be written.
bool IsFullAt(int fd, off64_t end) {
  DiskControl* control = Control();
  if (control == nullptr || control->fault.load() == DiskControl::kFullCopies) return IsFull(fd);
  struct stat info {};
  const bool is_reserved = fstat(fd, &info) == 0 && end <= info.st_size &&
                           end <= static_cast<off64_t>(info.st_blocks) * 512;
  return !is_reserved && IsFull(fd);
}

size_t TotalBytes(const iovec* vectors, int count) {
  size_t total_bytes = 0;
  for (int i = 0; i < count; ++i) total_bytes += vectors[i].iov_len;
  return total_bytes;
}

bool CannotSync(int fd) {
  DelayIfSlow(fd);
  if (!Has(DiskControl::kFailSync, fd)) return false;
  errno = EIO;
  return true;
}

size_t Shortened(int fd, size_t size) {
  return size > 1 && Has(DiskControl::kShortWrite, fd) ? size / 2 : size;
}

template <typename Path>
bool IsReadOnly(Path path) {
  if (!Has(DiskControl::kReadOnly, path)) return false;
  errno = EROFS;
  return true;
}

bool IsReadOnly(const char* path, int flags) {
  const bool writes = (flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC)) != 0;
  return writes && IsReadOnly(path);
}

mode_t ModeOf(int flags, va_list arguments) {
  const bool creates = (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
  return creates ? va_arg(arguments, mode_t) : 0;
}

}  // namespace

extern "C" {

ssize_t write(int fd, const void* bytes, size_t size) {
  static const auto real = Real("write", &write);
  DelayIfSlow(fd);
  if (IsFull(fd)) return -1;
  return real(fd, bytes, Shortened(fd, size));
}

ssize_t pwrite64(int fd, const void* bytes, size_t size, off64_t offset) {
  static const auto real = Real("pwrite64", &pwrite64);
  DelayIfSlow(fd);
  if (IsFullAt(fd, offset + static_cast<off64_t>(size))) return -1;
  return real(fd, bytes, Shortened(fd, size), offset);
}

ssize_t pwrite(int fd, const void* bytes, size_t size, off_t offset) {
  return pwrite64(fd, bytes, size, offset);
}

ssize_t pwritev64(int fd, const iovec* vectors, int count, off64_t offset) {
  static const auto real = Real("pwritev64", &pwritev64);
  DelayIfSlow(fd);
  if (IsFullAt(fd, offset + static_cast<off64_t>(TotalBytes(vectors, count)))) return -1;
  if (!Has(DiskControl::kShortWrite, fd)) return real(fd, vectors, count, offset);
  // Half of the first piece that is not empty.
  iovec first{};
  for (int i = 0; i < count && first.iov_len == 0; ++i) first = vectors[i];
  if (first.iov_len > 1) first.iov_len /= 2;
  return real(fd, &first, 1, offset);
}

ssize_t pwritev(int fd, const iovec* vectors, int count, off_t offset) {
  return pwritev64(fd, vectors, count, offset);
}

ssize_t pwritev64v2(int fd, const iovec* vectors, int count, off64_t offset, int flags) {
  static const auto real = Real("pwritev64v2", &pwritev64v2);
  DelayIfSlow(fd);
  if (IsFullAt(fd, offset + static_cast<off64_t>(TotalBytes(vectors, count)))) return -1;
  if ((flags & RWF_DSYNC) != 0 && CannotSync(fd)) return -1;
  // Written past the page cache: half a sector cannot be.
  iovec first = vectors[0];
  if (first.iov_len <= kSectorBytes || !Has(DiskControl::kShortWrite, fd)) {
    return real(fd, vectors, count, offset, flags);
  }
  first.iov_len = first.iov_len / 2 / kSectorBytes * kSectorBytes;
  return real(fd, &first, 1, offset, flags);
}

ssize_t pwritev2(int fd, const iovec* vectors, int count, off_t offset, int flags) {
  return pwritev64v2(fd, vectors, count, offset, flags);
}

int fdatasync(int fd) {
  static const auto real = Real("fdatasync", &fdatasync);
  return CannotSync(fd) ? -1 : real(fd);
}

int fsync(int fd) {
  static const auto real = Real("fsync", &fsync);
  return CannotSync(fd) ? -1 : real(fd);
}

int fallocate64(int fd, int mode, off64_t offset, off64_t size) {
  static const auto real = Real("fallocate64", &fallocate64);
  return IsFull(fd) ? -1 : real(fd, mode, offset, size);
}

int fallocate(int fd, int mode, off_t offset, off_t size) {
  return fallocate64(fd, mode, offset, size);
}

int posix_fallocate64(int fd, off64_t offset, off64_t size) {
  static const auto real = Real("posix_fallocate64", &posix_fallocate64);
  return IsFull(fd) ? ENOSPC : real(fd, offset, size);
}

int posix_fallocate(int fd, off_t offset, off_t size) {
  return posix_fallocate64(fd, offset, size);
}

int open64(const char* path, int flags, ...) {
  static const auto real = Real("open64", &open64);
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = ModeOf(flags, arguments);
  va_end(arguments);
  return IsReadOnly(path, flags) ? -1 : real(path, flags, mode);
}

int open(const char* path, int flags, ...) {
  static const auto real = Real("open", &open);
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = ModeOf(flags, arguments);
  va_end(arguments);
  return IsReadOnly(path, flags) ? -1 : real(path, flags, mode);
}

int mkdir(const char* path, mode_t mode) {
  static const auto real = Real("mkdir", &mkdir);
  return IsReadOnly(path) ? -1 : real(path, mode);
}

int rename(const char* from, const char* to) {
  static const auto real = Real("rename", &rename);
  return IsReadOnly(from) ? -1 : real(from, to);
}

int unlink(const char* path) {
  static const auto real = Real("unlink", &unlink);
  return IsReadOnly(path) ? -1 : real(path);
}

}  // extern "C"
