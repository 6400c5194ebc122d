#include "bench/limit/journal_file.h"

#include <fcntl.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "src/base/check.h"

namespace tidemark::bench {
namespace {

constexpr int64_t kAlignmentBytes = 4096;  // whole blocks, as a log that must not tear writes them

void WriteAll(int fd, absl::string_view bytes, int64_t at) {
  while (!bytes.empty()) {
    const ssize_t n = pwrite(fd, bytes.data(), bytes.size(), at);
    if (n <= 0) Fatal("cannot write the journal file");
    bytes.remove_prefix(static_cast<size_t>(n));
    at += n;
  }
}

}  // namespace

JournalFile::JournalFile(const std::string& path)
    : fd_(open(path.c_str(), O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600)) {
  if (fd_ < 0) Fatal(absl::StrCat("cannot make ", path));
  const std::string piece(1 << 20, 'z');
  for (int64_t at = 0; at < kFileBytes; at += static_cast<int64_t>(piece.size())) {
    WriteAll(fd_, piece, at);
  }
  if (fsync(fd_) != 0) Fatal("fsync");
}

JournalFile::~JournalFile() { close(fd_); }

void JournalFile::AppendAndSync(absl::string_view bytes) {
  const auto size = static_cast<int64_t>(bytes.size());
  CHECK(size <= kFileBytes);
  if (at_ + size > kFileBytes) at_ = 0;
  WriteAll(fd_, bytes, at_);
  if (fdatasync(fd_) != 0) Fatal("fdatasync");
  ++syncs_;
  at_ += (size + kAlignmentBytes - 1) / kAlignmentBytes * kAlignmentBytes;
}

}  // namespace tidemark::bench
