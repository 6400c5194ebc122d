// The door to disks. POSIX in production; in the simulator a disk that forgets what was not synced,
// tears writes, fills up and fails.
//
// Status codes: NotFound; AlreadyExists; PermissionDenied; ResourceExhausted (no space);
// FailedPrecondition (locked by another process); Internal (any other error, text from the OS,
// always naming the operation and the path).
// FileSystem is thread-safe; a File is used by one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace tidemark {

// A disk writes a sector whole or not at all.
inline constexpr uint64_t kSectorBytes = 512;
// Of the sectors that hold so many bytes.
constexpr uint64_t WholeSectorsBytes(uint64_t bytes) {
  return (bytes + kSectorBytes - 1) / kSectorBytes * kSectorBytes;
}

enum class Durability { kWritten, kDurable };

class File {
 public:
  virtual ~File() = default;

  // Reads up to `size` bytes at `offset`; fewer only at the end of the file.
  virtual absl::StatusOr<std::string> ReadAt(uint64_t offset, size_t size) = 0;
  // These bytes will be read soon: the disk may begin with them now.
  virtual void ReadAhead(uint64_t /*offset*/, uint64_t /*size_bytes*/) {}
  // Writes all runs one after another at `offset`. On error an unknown part may have been written.
  virtual absl::Status WriteAt(uint64_t offset, absl::Span<const absl::string_view> runs) = 0;
  // The same past the page cache, for whole sectors: `offset` is a border of one, and zeros fill
  // the last. kDurable: what was written survives a crash, as after SyncData, but nothing else that
  // was written before needs to. Unimplemented: file system or disk cannot do it (not with sectors
  // of this size either); some of it may have been written.
  virtual absl::Status WriteDirectly(uint64_t offset, absl::Span<const absl::string_view> runs,
                                     Durability durability);
  // Reserves disk space for [0, size_bytes) and extends the file to it with zeros.
  virtual absl::Status Preallocate(uint64_t size_bytes) = 0;
  // The same for a file that holds something: it becomes `size_bytes` of zeros. Where the file
  // system can, it keeps the space that it has.
  virtual absl::Status PreallocateAnew(uint64_t size_bytes);
  virtual absl::Status Truncate(uint64_t size_bytes) = 0;
  // After success all bytes written before, and the size, survive a crash. After an error nothing
  // is known about them, and trying again proves nothing (callers use Fatal).
  virtual absl::Status SyncData() = 0;
  virtual absl::StatusOr<uint64_t> Size() = 0;
};

// Held while a process owns a directory; released by destruction or by the process's end.
class FileLock {
 public:
  virtual ~FileLock() = default;
};

enum class OpenMode { kReadOnly, kReadWrite, kCreateExclusive };

inline absl::Status File::WriteDirectly(uint64_t /*offset*/,
                                        absl::Span<const absl::string_view> /*runs*/,
                                        Durability /*durability*/) {
  return absl::UnimplementedError("this file cannot be written past a cache");
}

inline absl::Status File::PreallocateAnew(uint64_t size_bytes) {
  absl::Status emptied = Truncate(0);
  return emptied.ok() ? Preallocate(size_bytes) : emptied;
}

class FileSystem {
 public:
  virtual ~FileSystem() = default;

  virtual absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) = 0;
  virtual bool Exists(const std::string& path) = 0;
  // Names (not paths) of the entries, sorted.
  virtual absl::StatusOr<std::vector<std::string>> List(const std::string& directory) = 0;
  // Creates the directory and its parents, mode 0700, durably; an existing one is fine.
  virtual absl::Status CreateDirectories(const std::string& directory) = 0;
  virtual absl::Status Rename(const std::string& from, const std::string& to) = 0;
  virtual absl::Status Remove(const std::string& path) = 0;
  // Makes creations, renames and removals in the directory survive a crash.
  virtual absl::Status SyncDirectory(const std::string& directory) = 0;
  virtual absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path) = 0;
  // Whether some process holds that lock, found out without taking it or touching the file. Holders
  // in another container may be invisible. Unimplemented where nobody can say.
  virtual absl::StatusOr<bool> IsLocked(const std::string& path) {
    return absl::UnimplementedError(path + ": locks cannot be looked at here");
  }
};

}  // namespace tidemark
