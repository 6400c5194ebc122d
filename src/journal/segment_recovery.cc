#include "src/journal/segment_recovery.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "src/base/check.h"
#include "src/base/log.h"
#include "src/journal/disk_errors.h"
#include "src/journal/segment_reader.h"

namespace tidemark::journal {
namespace {

constexpr size_t kZeroPieceBytes = size_t{64} << 10;

// Makes the rest of the file zeros, durably. Returns how many bytes were rewritten.
absl::StatusOr<uint64_t> ZeroFrom(FileSystem& file_system, const std::string& path,
                                  uint64_t offset) {
  absl::StatusOr<SegmentReader> reader = SegmentReader::Open(file_system, path);
  if (!reader.ok()) return reader.status();
  absl::StatusOr<std::unique_ptr<File>> file = file_system.Open(path, OpenMode::kReadWrite);
  if (!file.ok()) return file.status();
  const std::string zeros(kZeroPieceBytes, '\0');
  uint64_t zeroed_bytes = 0;
  while (offset < reader->file_bytes()) {
    absl::StatusOr<SharedBytes> piece = reader->View(offset, kZeroPieceBytes);
    if (!piece.ok()) return piece.status();
    absl::string_view clean = absl::string_view(zeros).substr(0, piece->size());
    if (piece->view() != clean) {
      absl::Status written = (*file)->WriteAt(offset, {clean});
      if (!written.ok()) return written;
      zeroed_bytes += piece->size();
    }
    offset += piece->size();
  }
  MustSucceed((*file)->SyncData());
  return zeroed_bytes;
}

}  // namespace

absl::Status RepairTornEnd(FileSystem& file_system, const SegmentWalk& walk) {
  CHECK(!walk.damage.has_value());
  if (!walk.is_torn()) return absl::OkStatus();
  CHECK(walk.clean_from <= walk.torn_from);
  const std::string& path = walk.segments.back().path;
  absl::StatusOr<uint64_t> zeroed_bytes = ZeroFrom(file_system, path, walk.clean_from);
  if (!zeroed_bytes.ok()) return zeroed_bytes.status();
  TLOG(kWarn, "cut off an unfinished write at the end of the journal",
       {{"file", path},
        {"offset", walk.clean_from},
        {"zeroed-bytes", *zeroed_bytes},
        {"last-position", walk.last.value()}});
  return absl::OkStatus();
}

}  // namespace tidemark::journal
