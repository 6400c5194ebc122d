#include "src/journal/data_directory.h"

#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "src/base/check.h"
#include "src/base/crc32c.h"
#include "src/base/failpoint.h"
#include "src/base/little_endian.h"
#include "src/journal/damage.h"
#include "src/journal/durable_file.h"

namespace tidemark::journal {
namespace {

constexpr char kLockName[] = "LOCK";
constexpr char kFormatName[] = "FORMAT";
constexpr char kOwnerName[] = "owner";
constexpr char kTermName[] = "term";
constexpr char kHistoryName[] = "history";
constexpr char kSnapshotName[] = "snapshot";
constexpr absl::string_view kFormatTitle = "tidemark journal";
constexpr uint64_t kDirectoryVersion = 1;
constexpr uint32_t kOwnerMagic = 0x4F4A4D54;     // "TMJO"
constexpr uint32_t kTermMagic = 0x544A4D54;      // "TMJT"
constexpr uint32_t kHistoryMagic = 0x484A4D54;   // "TMJH"
constexpr uint32_t kSnapshotMagic = 0x4E4A4D54;  // "TMJN"

std::string ChecksumLine(absl::string_view text) {
  return absl::StrFormat("crc32c %08x\n", Crc32c(text));
}

absl::Status Annotate(const absl::Status& status, absl::string_view what) {
  return absl::Status(status.code(), absl::StrCat(what, ": ", status.message()));
}

}  // namespace

absl::StatusOr<std::unique_ptr<DataDirectory>> DataDirectory::Open(FileSystem& file_system,
                                                                   const std::string& path,
                                                                   Random& random) {
  absl::Status created = file_system.CreateDirectories(path);
  if (!created.ok()) return Annotate(created, "cannot use the journal's directory");
  absl::StatusOr<std::unique_ptr<FileLock>> lock = file_system.Lock(LockPath(path));
  if (absl::IsFailedPrecondition(lock.status())) {
    return absl::FailedPreconditionError(absl::StrCat(
        "journal directory ", path, " is in use by another process (", lock.status().message(),
        "); stop that process, or give this one a directory of its own"));
  }
  if (!lock.ok()) return Annotate(lock.status(), "cannot lock the journal's directory");
  std::unique_ptr<DataDirectory> directory(new DataDirectory(file_system, path, *std::move(lock)));
  absl::Status format = directory->LoadOrCreateFormat(random);
  if (!format.ok()) return format;
  absl::Status cleaned = directory->RemoveTemporaries();
  if (!cleaned.ok()) return Annotate(cleaned, "cannot write to the journal's directory");
  return directory;
}

absl::StatusOr<std::unique_ptr<DataDirectory>> DataDirectory::OpenReadOnly(
    FileSystem& file_system, const std::string& path) {
  std::unique_ptr<DataDirectory> directory(new DataDirectory(file_system, path, nullptr));
  if (!file_system.Exists(directory->PathOf(kFormatName))) {
    absl::Status fresh = directory->CheckFresh();
    return fresh.ok() ? absl::NotFoundError(absl::StrCat(path, " holds no journal")) : fresh;
  }
  absl::StatusOr<std::string> text = ReadWholeFile(file_system, directory->PathOf(kFormatName));
  if (!text.ok()) return text.status();
  absl::Status format = directory->ParseFormat(*text);
  if (!format.ok()) return format;
  return directory;
}

std::string DataDirectory::LockPath(const std::string& path) {
  return absl::StrCat(path, "/", kLockName);
}

bool DataDirectory::IsTemporary(const std::string& name) {
  return absl::EndsWith(name, kTemporarySuffix);
}

std::string DataDirectory::PathOf(absl::string_view name) const {
  return absl::StrCat(path_, "/", name);
}

absl::Status DataDirectory::LoadOrCreateFormat(Random& random) {
  if (!file_system_.Exists(PathOf(kFormatName))) return CreateFormat(random);
  absl::StatusOr<std::string> text = ReadWholeFile(file_system_, PathOf(kFormatName));
  if (!text.ok()) return text.status();
  return ParseFormat(*text);
}

// Without a FORMAT only what is left of an attempt to set it up may be there.
absl::Status DataDirectory::CheckFresh() {
  absl::StatusOr<std::vector<std::string>> names = file_system_.List(path_);
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    if (name == kLockName || IsTemporary(name) || name == "lost+found") {
      continue;
    }
    return absl::FailedPreconditionError(absl::StrCat(
        "directory ", path_, " is not a tidemark journal: it has ", name, " but no ", kFormatName,
        " file; restore that file from a copy, or give an empty directory"));
  }
  return absl::OkStatus();
}

absl::Status DataDirectory::CreateFormat(Random& random) {
  absl::Status fresh = CheckFresh();
  if (!fresh.ok()) return fresh;
  format_version_ = kDirectoryVersion;
  store_ = StoreId(random.Next());
  std::string text = absl::StrFormat("%s\nversion %d\nstore %016x\n", kFormatTitle,
                                     kDirectoryVersion, store_.value());
  return Annotate(ReplaceFile(file_system_, path_, kFormatName, text + ChecksumLine(text)),
                  "cannot set up the journal's directory");
}

// In every version: the title, the version, what that version needs, and the checksum's line.
absl::Status DataDirectory::ParseFormat(const std::string& text) {
  absl::Status damaged = FileDamage(PathOf(kFormatName), "is damaged");
  size_t checked_bytes = text.rfind("crc32c ");
  if (checked_bytes == std::string::npos ||
      text.substr(checked_bytes) != ChecksumLine(text.substr(0, checked_bytes))) {
    return damaged;
  }
  std::vector<std::string> lines = absl::StrSplit(text, '\n');
  uint64_t version = 0;
  if (lines.size() < 2 || lines[0] != kFormatTitle || !absl::StartsWith(lines[1], "version ") ||
      !absl::SimpleAtoi(lines[1].substr(8), &version)) {
    return damaged;
  }
  if (version > kDirectoryVersion) {
    return absl::FailedPreconditionError(absl::StrCat(
        "journal directory ", path_, " has format version ", version,
        ", written by a newer tidemark; this one reads up to version ", kDirectoryVersion));
  }
  uint64_t store = 0;
  if (lines.size() != 5 || !absl::StartsWith(lines[2], "store ") ||
      !absl::SimpleHexAtoi(lines[2].substr(6), &store)) {
    return damaged;
  }
  store_ = StoreId(store);
  format_version_ = version;
  return absl::OkStatus();
}

absl::Status DataDirectory::RemoveTemporaries() {
  absl::StatusOr<std::vector<std::string>> names = file_system_.List(path_);
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    if (!IsTemporary(name)) continue;
    absl::Status removed = file_system_.Remove(PathOf(name));
    if (!removed.ok()) return removed;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<std::string>> DataDirectory::LoadSmall(absl::string_view name,
                                                                    uint32_t magic) {
  const std::string path = PathOf(name);
  if (!file_system_.Exists(path)) return std::optional<std::string>();
  absl::StatusOr<std::string> wrapped = ReadWholeFile(file_system_, path);
  if (!wrapped.ok()) return wrapped.status();
  absl::StatusOr<std::string> content = UnwrapContent(magic, *wrapped, path);
  if (!content.ok()) return content.status();
  ByteReader in(*content);
  const StoreId store(in.Read<uint64_t>());
  if (in.failed() || store != store_) return FileDamage(path, "belongs to another journal");
  return std::optional<std::string>(in.rest());
}

absl::Status DataDirectory::StoreSmall(absl::string_view name, uint32_t magic,
                                       absl::string_view content) {
  CHECK(lock_ != nullptr);
  std::string bytes;
  AppendLittle(&bytes, store_.value());
  bytes.append(content.data(), content.size());
  return ReplaceFile(file_system_, path_, std::string(name), WrapContent(magic, bytes));
}

absl::StatusOr<std::optional<std::string>> DataDirectory::LoadOwner() {
  return LoadSmall(kOwnerName, kOwnerMagic);
}

absl::Status DataDirectory::ClaimFor(const std::string& owner) {
  absl::StatusOr<std::optional<std::string>> found = LoadOwner();
  if (!found.ok()) return found.status();
  if (found->has_value()) return CheckOwner(*found, owner);
  return Annotate(StoreSmall(kOwnerName, kOwnerMagic, owner),
                  "cannot write to the journal's directory");
}

absl::Status DataDirectory::CheckOwner(const std::optional<std::string>& found,
                                       const std::string& owner) const {
  if (!found.has_value() || *found == owner || PLANTED_BUG("journal_of_anybody")) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(absl::StrCat(
      "the journal in ", path_, " was made by ", *found, ", and this is ", owner,
      ": identity and journal were taken from different nodes. Nothing was changed. Restore the "
      "one that is not this node's from a copy; to give the journal to this node on purpose, "
      "remove ",
      PathOf(kOwnerName)));
}

absl::StatusOr<std::optional<Term>> DataDirectory::LoadTerm() {
  absl::StatusOr<std::optional<std::string>> content = LoadSmall(kTermName, kTermMagic);
  if (!content.ok()) return content.status();
  if (!content->has_value()) return std::optional<Term>();
  ByteReader in(**content);
  const Term term(in.Read<uint64_t>());
  if (in.failed() || !in.rest().empty() || term == Term(0)) {
    return FileDamage(PathOf(kTermName), "belongs to another journal");
  }
  return std::optional<Term>(term);
}

absl::Status DataDirectory::StoreTerm(Term term) {
  CHECK(term > Term(0));
  std::string content;
  AppendLittle(&content, term.value());
  return StoreSmall(kTermName, kTermMagic, content);
}

absl::StatusOr<History> DataDirectory::LoadHistory() {
  absl::StatusOr<std::optional<std::string>> content = LoadSmall(kHistoryName, kHistoryMagic);
  if (!content.ok()) return content.status();
  if (!content->has_value()) return History();
  absl::StatusOr<History> history = History::Decode(**content);
  if (!history.ok()) return FileDamage(PathOf(kHistoryName), history.status().message());
  return history;
}

absl::Status DataDirectory::StoreHistory(const History& history) {
  return StoreSmall(kHistoryName, kHistoryMagic, history.Encode());
}

absl::StatusOr<std::optional<DataDirectory::Snapshot>> DataDirectory::LoadSnapshot() {
  absl::StatusOr<std::optional<std::string>> content = LoadSmall(kSnapshotName, kSnapshotMagic);
  if (!content.ok()) return content.status();
  if (!content->has_value()) return std::optional<Snapshot>();
  ByteReader in(**content);
  Snapshot snapshot;
  snapshot.position = Position(in.Read<uint64_t>());
  if (in.failed()) return FileDamage(PathOf(kSnapshotName), "belongs to another journal");
  snapshot.state = std::string(in.rest());
  return std::optional<Snapshot>(std::move(snapshot));
}

absl::Status DataDirectory::StoreSnapshot(const Snapshot& snapshot) {
  std::string content;
  AppendLittle(&content, snapshot.position.value());
  content += snapshot.state;
  return StoreSmall(kSnapshotName, kSnapshotMagic, content);
}

}  // namespace tidemark::journal
