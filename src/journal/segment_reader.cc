#include "src/journal/segment_reader.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace tidemark::journal {
namespace {

constexpr size_t kWindowBytes = size_t{512} << 10;

}  // namespace

absl::StatusOr<SegmentReader> SegmentReader::Open(FileSystem& file_system,
                                                  const std::string& path) {
  absl::StatusOr<std::unique_ptr<File>> file = file_system.Open(path, OpenMode::kReadOnly);
  if (!file.ok()) return file.status();
  absl::StatusOr<uint64_t> size = (*file)->Size();
  if (!size.ok()) return size.status();
  return SegmentReader(path, std::move(*file), *size);
}

absl::StatusOr<SharedBytes> SegmentReader::View(uint64_t offset, size_t size) {
  if (offset >= file_bytes_) return SharedBytes();
  size = std::min<uint64_t>(size, file_bytes_ - offset);
  bool inside = offset >= window_offset_ && offset + size <= window_offset_ + window_->size();
  if (!inside) {
    size_t wanted = std::min<uint64_t>(std::max(size, kWindowBytes), file_bytes_ - offset);
    absl::StatusOr<std::string> bytes = file_->ReadAt(offset, wanted);
    if (!bytes.ok()) return bytes.status();
    if (bytes->size() != wanted) {
      return absl::DataLossError(absl::StrCat(path_, ": short read at offset ", offset, ": ",
                                              bytes->size(), " of ", wanted, " bytes"));
    }
    window_offset_ = offset;
    window_ = std::make_shared<const std::string>(std::move(*bytes));
  }
  return SharedBytes(absl::string_view(*window_).substr(offset - window_offset_, size), window_);
}

}  // namespace tidemark::journal
