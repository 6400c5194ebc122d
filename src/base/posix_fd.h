// What the POSIX doors share: an owned descriptor, and errors that name operation and path.
//
// Hides errno, interrupted calls and file systems without fallocate. Only posix_* and tmpfs_* files
// include it. Thread class: a UniqueFd belongs to one thread at a time.
#pragma once

#include <cerrno>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace tidemark {

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~UniqueFd();

  int get() const { return fd_; }

 private:
  int fd_ = -1;
};

// "<operation> <path>: <text of the error>", with the code that file_system.h promises.
absl::Status ErrnoStatus(absl::string_view operation, absl::string_view path, int error);

// Calls `call` again while a signal interrupts it.
template <typename Call>
auto RetryInterrupted(Call call) {
  decltype(call()) result;
  do {
    result = call();
  } while (result < 0 && errno == EINTR);
  return result;
}

// With O_CLOEXEC, and mode 0600 where it creates.
absl::StatusOr<UniqueFd> OpenFd(const std::string& path, int flags, absl::string_view operation);

// Space for [0, size_bytes) and at least that size; writes zeros where fallocate is not supported.
absl::Status PreallocateFd(int fd, uint64_t size_bytes, const std::string& path);

}  // namespace tidemark
