#include "src/journal/durable_file.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "src/base/crc32c.h"
#include "src/base/little_endian.h"
#include "src/journal/damage.h"
#include "src/journal/disk_errors.h"

namespace tidemark::journal {
namespace {

constexpr uint32_t kEnvelopeVersion = 1;
constexpr size_t kEnvelopeBytes = 12;

}  // namespace

absl::Status ReplaceFile(FileSystem& file_system, const std::string& directory,
                         const std::string& name, absl::string_view content) {
  std::string path = absl::StrCat(directory, "/", name);
  std::string temporary = absl::StrCat(path, kTemporarySuffix);
  if (file_system.Exists(temporary)) {
    absl::Status removed = file_system.Remove(temporary);
    if (!removed.ok()) return removed;
  }
  auto file = file_system.Open(temporary, OpenMode::kCreateExclusive);
  if (!file.ok()) return file.status();
  absl::Status written = (*file)->WriteAt(0, {content});
  if (!written.ok()) return written;
  MustSucceed((*file)->SyncData());
  file->reset();
  absl::Status renamed = file_system.Rename(temporary, path);
  if (!renamed.ok()) return renamed;
  MustSucceed(file_system.SyncDirectory(directory));
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadWholeFile(FileSystem& file_system, const std::string& path) {
  auto file = file_system.Open(path, OpenMode::kReadOnly);
  if (!file.ok()) return file.status();
  absl::StatusOr<uint64_t> size = (*file)->Size();
  if (!size.ok()) return size.status();
  return (*file)->ReadAt(0, *size);
}

std::string WrapContent(uint32_t magic, absl::string_view content) {
  std::string out;
  out.reserve(kEnvelopeBytes + content.size());
  AppendLittle(&out, magic);
  AppendLittle(&out, kEnvelopeVersion);
  out.append(content.data(), content.size());
  AppendLittle(&out, Crc32c(out));
  return out;
}

absl::StatusOr<std::string> UnwrapContent(uint32_t magic, absl::string_view wrapped,
                                          const std::string& path) {
  if (wrapped.size() < kEnvelopeBytes || LoadLittle<uint32_t>(wrapped.data()) != magic ||
      LoadLittle<uint32_t>(wrapped.data() + wrapped.size() - 4) !=
          Crc32c(wrapped.substr(0, wrapped.size() - 4))) {
    return FileDamage(path, "is damaged: its content does not match its checksum");
  }
  if (LoadLittle<uint32_t>(wrapped.data() + 4) > kEnvelopeVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("journal file ", path, " was written by a newer version of this program"));
  }
  return std::string(wrapped.substr(8, wrapped.size() - kEnvelopeBytes));
}

}  // namespace tidemark::journal
