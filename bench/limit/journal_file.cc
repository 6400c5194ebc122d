#include "bench/limit/journal_file.h"

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "src/base/check.h"

namespace tidemark::bench {
namespace {

constexpr size_t kMemoryAlignmentBytes = 4096;

void WriteAll(int fd, absl::string_view bytes, int64_t at) {
  while (!bytes.empty()) {
    const ssize_t n = pwrite(fd, bytes.data(), bytes.size(), at);
    if (n <= 0) Fatal("cannot write the journal file");
    bytes.remove_prefix(static_cast<size_t>(n));
    at += n;
  }
}

}  // namespace

JournalFile::JournalFile(const std::string& path, bool may_be_direct)
    : fd_(open(path.c_str(), O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600)) {
  if (fd_ < 0) Fatal(absl::StrCat("cannot make ", path));
  const std::string piece(1 << 20, '\0');
  for (int64_t at = 0; at < kFileBytes; at += static_cast<int64_t>(piece.size())) {
    WriteAll(fd_, piece, at);
  }
  if (fsync(fd_) != 0) Fatal("fsync");
  if (!may_be_direct) return;
  posix_fadvise(fd_, 0, 0, POSIX_FADV_DONTNEED);  // else each direct write has pages to take away
  direct_fd_ = open(path.c_str(), O_WRONLY | O_DIRECT | O_CLOEXEC);
  if (direct_fd_ < 0) return;
  block_.reset(static_cast<char*>(std::aligned_alloc(kMemoryAlignmentBytes, kFileBytes)));
  CHECK(block_ != nullptr);
}

JournalFile::~JournalFile() {
  if (direct_fd_ >= 0) close(direct_fd_);
  close(fd_);
}

bool JournalFile::WriteDirectly(absl::string_view bytes, size_t padded) {
  std::copy_n(bytes.data(), bytes.size(), block_.get());
  std::memset(block_.get() + bytes.size(), 0, padded - bytes.size());
  const iovec block{block_.get(), padded};
  const ssize_t written = pwritev2(direct_fd_, &block, 1, at_, RWF_DSYNC);
  if (written == static_cast<ssize_t>(padded)) return true;
  if (written >= 0 || (errno != EINVAL && errno != EOPNOTSUPP)) Fatal("cannot write directly");
  close(std::exchange(direct_fd_, -1));
  return false;
}

void JournalFile::AppendAndSync(absl::string_view bytes) {
  const auto size = static_cast<int64_t>(bytes.size());
  const int64_t padded = (size + kSectorBytes - 1) / kSectorBytes * kSectorBytes;
  CHECK(padded <= kFileBytes);
  if (at_ + padded > kFileBytes) at_ = 0;
  if (!is_direct() || !WriteDirectly(bytes, static_cast<size_t>(padded))) {
    WriteAll(fd_, bytes, at_);
    if (fdatasync(fd_) != 0) Fatal("fdatasync");
  }
  ++syncs_;
  at_ += padded;
}

}  // namespace tidemark::bench
