#include "src/base/posix_direct_writer.h"

#include <fcntl.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "src/base/check.h"

namespace tidemark {
namespace {

// A journal's largest group of records, and some; what is larger becomes durable chunk by chunk.
constexpr size_t kChunkBytesMax = size_t{9} << 20;
constexpr size_t kKeptBytesMax = size_t{1} << 20;
constexpr size_t kMemoryAlignmentBytes = 4096;

// Copies runs one after another, with a place in them.
class RunReader {
 public:
  explicit RunReader(absl::Span<const absl::string_view> runs) : runs_(runs) {}

  // As many bytes as there are, at most `size`.
  size_t Take(char* to, size_t size) {
    size_t taken = 0;
    while (taken < size && !runs_.empty()) {
      const absl::string_view part = runs_.front().substr(within_, size - taken);
      std::copy_n(part.data(), part.size(), to + taken);
      taken += part.size();
      within_ += part.size();
      if (within_ < runs_.front().size()) break;
      runs_.remove_prefix(1);
      within_ = 0;
    }
    return taken;
  }

 private:
  absl::Span<const absl::string_view> runs_;
  size_t within_ = 0;
};

}  // namespace

PosixDirectWriter::PosixDirectWriter(int fd) {
  absl::StatusOr<UniqueFd> again =
      OpenFd(absl::StrCat("/proc/self/fd/", fd), O_WRONLY | O_DIRECT, "open");
  if (again.ok()) fd_ = *std::move(again);
}

absl::Status PosixDirectWriter::CannotBeDone() {
  fd_ = UniqueFd();
  return absl::UnimplementedError("no direct writes here");
}

absl::Status PosixDirectWriter::Write(uint64_t offset, absl::Span<const absl::string_view> runs,
                                      Durability durability, const std::string& path) {
  CHECK(offset % kSectorBytes == 0);
  if (fd_.get() < 0) return CannotBeDone();
  uint64_t left = 0;
  for (absl::string_view run : runs) left += run.size();
  MakeRoom(std::min<uint64_t>(left, kChunkBytesMax));
  for (RunReader reader(runs); left > 0;) {
    const size_t taken = reader.Take(chunk_.get(), std::min<uint64_t>(left, chunk_bytes_));
    const size_t padded = WholeSectorsBytes(taken);
    std::memset(chunk_.get() + taken, 0, padded - taken);
    absl::Status written = WriteChunk(offset, padded, durability, path);
    if (!written.ok()) return written;
    offset += padded;
    left -= taken;
  }
  if (chunk_bytes_ > kKeptBytesMax) {
    chunk_.reset();
    chunk_bytes_ = 0;
  }
  return absl::OkStatus();
}

void PosixDirectWriter::MakeRoom(size_t size_bytes) {
  if (size_bytes <= chunk_bytes_) return;
  chunk_bytes_ = (size_bytes / kMemoryAlignmentBytes + 1) * kMemoryAlignmentBytes;
  chunk_.reset(static_cast<char*>(std::aligned_alloc(kMemoryAlignmentBytes, chunk_bytes_)));
  CHECK(chunk_ != nullptr);
}

absl::Status PosixDirectWriter::WriteChunk(uint64_t offset, size_t size_bytes,
                                           Durability durability, const std::string& path) {
  const int flags = durability == Durability::kDurable ? RWF_DSYNC : 0;
  size_t done = 0;
  while (done < size_bytes) {
    const iovec rest{chunk_.get() + done, size_bytes - done};
    const ssize_t written = RetryInterrupted(
        [&] { return ::pwritev2(fd_.get(), &rest, 1, static_cast<off_t>(offset + done), flags); });
    if (written < 0 && (errno == EINVAL || errno == EOPNOTSUPP)) return CannotBeDone();
    if (written < 0) return ErrnoStatus("pwritev2", path, errno);
    // Part of a sector is written again; a disk that takes less is full without saying so.
    const size_t sectors = static_cast<size_t>(written) / kSectorBytes * kSectorBytes;
    if (sectors == 0) return ErrnoStatus("pwritev2", path, ENOSPC);
    done += sectors;
  }
  return absl::OkStatus();
}

}  // namespace tidemark
