#include "src/base/posix_fd.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace tidemark {
namespace {

absl::StatusCode CodeOf(int error) {
  switch (error) {
    case ENOENT:
      return absl::StatusCode::kNotFound;
    case EEXIST:
      return absl::StatusCode::kAlreadyExists;
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::StatusCode::kPermissionDenied;
    case ENOSPC:
    case EDQUOT:
      return absl::StatusCode::kResourceExhausted;
    default:
      return absl::StatusCode::kInternal;
  }
}

absl::Status ExtendWithZeros(int fd, uint64_t size_bytes, const std::string& path) {
  struct stat info;
  if (::fstat(fd, &info) != 0) return ErrnoStatus("fstat", path, errno);
  const std::string zeros(64 * 1024, '\0');
  uint64_t offset = static_cast<uint64_t>(info.st_size);
  while (offset < size_bytes) {
    const size_t step = std::min<uint64_t>(zeros.size(), size_bytes - offset);
    const ssize_t written =
        RetryInterrupted([&] { return ::pwrite(fd, zeros.data(), step, offset); });
    if (written < 0) return ErrnoStatus("pwrite", path, errno);
    offset += static_cast<uint64_t>(written);
  }
  return absl::OkStatus();
}

}  // namespace

UniqueFd::~UniqueFd() {
  if (fd_ >= 0) ::close(fd_);
}

absl::Status ErrnoStatus(absl::string_view operation, absl::string_view path, int error) {
  return absl::Status(CodeOf(error),
                      absl::StrCat(operation, " ", path, ": ", std::strerror(error)));
}

absl::StatusOr<UniqueFd> OpenFd(const std::string& path, int flags, absl::string_view operation) {
  const int fd = RetryInterrupted([&] { return ::open(path.c_str(), flags | O_CLOEXEC, 0600); });
  if (fd < 0) return ErrnoStatus(operation, path, errno);
  return UniqueFd(fd);
}

absl::Status PreallocateFd(int fd, uint64_t size_bytes, const std::string& path) {
  if (size_bytes == 0) return absl::OkStatus();
  const int result =
      RetryInterrupted([&] { return ::fallocate(fd, 0, 0, static_cast<off_t>(size_bytes)); });
  if (result == 0) return absl::OkStatus();
  if (errno != EOPNOTSUPP && errno != ENOSYS) return ErrnoStatus("fallocate", path, errno);
  return ExtendWithZeros(fd, size_bytes, path);
}

}  // namespace tidemark
