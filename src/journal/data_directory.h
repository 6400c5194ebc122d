// The journal's directory: who owns it, which format it has, and the small files beside the
// segments.
//
// Owned by one process at a time while this object lives, unless it was opened read-only. Used by
// one thread at a time.
//
// Files: LOCK, FORMAT (identity and version, text), owner, term, history, snapshot;
// docs/journal-format.md.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "src/base/file_system.h"
#include "src/base/random.h"
#include "src/journal/block_frame.h"
#include "src/journal/history.h"

namespace tidemark::journal {

class DataDirectory {
 public:
  // Creates the directory when it is missing. Errors say what is wrong and with which path.
  static absl::StatusOr<std::unique_ptr<DataDirectory>> Open(FileSystem& file_system,
                                                             const std::string& path,
                                                             Random& random);

  // Without the lock, creating and removing nothing: only the Load calls are allowed, and what they
  // find may change under a process that owns the directory. NotFound when there is no journal and
  // Open would make one.
  static absl::StatusOr<std::unique_ptr<DataDirectory>> OpenReadOnly(FileSystem& file_system,
                                                                     const std::string& path);
  // The files that a start locks and removes, for those who only look.
  static std::string LockPath(const std::string& path);
  static bool IsTemporary(const std::string& name);

  const std::string& path() const { return path_; }
  StoreId store() const { return store_; }
  uint64_t format_version() const { return format_version_; }

  // For whom the journal was made, in words that mean nothing here; nullopt: it does not say.
  absl::StatusOr<std::optional<std::string>> LoadOwner();
  // FailedPrecondition if it was made for somebody else. One that does not say is taken over.
  absl::Status ClaimFor(const std::string& owner);
  // That refusal; OK if there is none.
  absl::Status CheckOwner(const std::optional<std::string>& found, const std::string& owner) const;

  // nullopt before the first StoreTerm.
  absl::StatusOr<std::optional<Term>> LoadTerm();
  // REQUIRES term > the stored one. J5: durable when it returns.
  absl::Status StoreTerm(Term term);

  // Empty without one.
  absl::StatusOr<History> LoadHistory();
  absl::Status StoreHistory(const History& history);

  // What stands for trimmed entries: opaque state as of `position`.
  struct Snapshot {
    Position position;
    std::string state;
  };
  absl::StatusOr<std::optional<Snapshot>> LoadSnapshot();
  absl::Status StoreSnapshot(const Snapshot& snapshot);

 private:
  DataDirectory(FileSystem& file_system, std::string path, std::unique_ptr<FileLock> lock)
      : file_system_(file_system), path_(std::move(path)), lock_(std::move(lock)) {}

  absl::Status LoadOrCreateFormat(Random& random);
  absl::Status CheckFresh();
  absl::Status CreateFormat(Random& random);
  absl::Status ParseFormat(const std::string& text);
  absl::Status RemoveTemporaries();
  // The content of a small file behind the journal's identity; nullopt: no such file.
  absl::StatusOr<std::optional<std::string>> LoadSmall(absl::string_view name, uint32_t magic);
  absl::Status StoreSmall(absl::string_view name, uint32_t magic, absl::string_view content);
  std::string PathOf(absl::string_view name) const;

  FileSystem& file_system_;
  const std::string path_;
  std::unique_ptr<FileLock> lock_;
  StoreId store_;
  uint64_t format_version_ = 0;
};

}  // namespace tidemark::journal
