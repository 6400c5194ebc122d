#include "src/kvstore/checkpoint/header_copies.h"

#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "src/base/log.h"

namespace tidemark::kvstore {
namespace {

constexpr absl::string_view kPrefix = "header-p";
constexpr absl::string_view kTemporarySuffix = ".tmp";

absl::StatusOr<StoredHeader> ReadCopy(FileSystem& files, const std::string& path) {
  absl::StatusOr<std::unique_ptr<File>> file = files.Open(path, OpenMode::kReadOnly);
  if (!file.ok()) return file.status();
  absl::StatusOr<uint64_t> size_bytes = (*file)->Size();
  if (!size_bytes.ok()) return size_bytes.status();
  absl::StatusOr<std::string> bytes = (*file)->ReadAt(0, *size_bytes);
  if (!bytes.ok()) return bytes.status();
  return DecodeHeader(*bytes);
}

}  // namespace

void HeaderCopies::Write(const StoredHeader& stored) const {
  const std::string path = absl::StrCat(directory_, "/", kPrefix, stored.header.partition.value());
  const absl::Status written = Replace(path, EncodeHeader(stored));
  if (written.ok()) return;
  TLOG(kWarn, "no second copy of a checkpoint's header", {{"error", written.message()}});
}

absl::Status HeaderCopies::Replace(const std::string& path, absl::string_view content) const {
  const std::string temporary = absl::StrCat(path, kTemporarySuffix);
  if (files_.Exists(temporary)) {
    if (absl::Status s = files_.Remove(temporary); !s.ok()) return s;
  }
  absl::StatusOr<std::unique_ptr<File>> file = files_.Open(temporary, OpenMode::kCreateExclusive);
  if (!file.ok()) return file.status();
  if (absl::Status s = (*file)->WriteAt(0, {content}); !s.ok()) return s;
  if (absl::Status s = (*file)->SyncData(); !s.ok()) return s;
  file->reset();
  if (absl::Status s = files_.Rename(temporary, path); !s.ok()) return s;
  return files_.SyncDirectory(directory_);
}

std::vector<StoredHeader> HeaderCopies::Load(uint64_t store) const {
  std::vector<StoredHeader> found;
  absl::StatusOr<std::vector<std::string>> names = files_.List(directory_);
  if (!names.ok()) return found;
  for (const std::string& name : *names) {
    if (!absl::StartsWith(name, kPrefix) || absl::EndsWith(name, kTemporarySuffix)) continue;
    const std::string path = absl::StrCat(directory_, "/", name);
    absl::StatusOr<StoredHeader> stored = ReadCopy(files_, path);
    absl::string_view wrong;
    if (!stored.ok()) {
      wrong = stored.status().message();
    } else if (stored->store != store) {
      wrong = "it is of another journal";
    } else if (name != absl::StrCat(kPrefix, stored->header.partition.value())) {
      wrong = "it is of another partition";
    }
    if (wrong.empty()) {
      found.push_back(*std::move(stored));
    } else {
      TLOG(kWarn, "the second copy of a checkpoint's header is not used",
           {{"file", path}, {"reason", wrong}});
    }
  }
  return found;
}

}  // namespace tidemark::kvstore
