// What becomes of the files of segments that a trim took out of the journal.
//
// Hides that some are kept under another name, to be the next segment's file. Making files of
// 64 MiB and removing them is what file systems hold up syncs for, most of all those that discard
// what is freed: removing a gigabyte made one sync in a thousand take 33 ms instead of 3
// (docs/performance.md).
//
// Add, TakeAway and RemoveKept are called by one thread at a time (whoever owns the directory),
// Reuse by another.
//
// Invariants:
//  1. Files lose their names oldest first, each durably before the next: whatever a crash brings
//     back is a contiguous rest.
//  2. A file is handed out only once its old name is durably gone.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "src/base/file_system.h"
#include "src/base/mutex.h"

namespace tidemark::journal {

class TrimmedSegments {
 public:
  // Keeps up to `kept_max` files of `kept_bytes` each.
  TrimmedSegments(FileSystem& file_system, std::string directory, uint64_t kept_bytes,
                  size_t kept_max);

  void Add(std::string path, uint64_t size_bytes);
  // Of all that were added. Some file systems need space for it (ResourceExhausted): what is left
  // goes with the next call, before what is added until then.
  absl::Status TakeAway();

  // One that was kept gets this name; what it held is still in it. False: there is none.
  bool Reuse(const std::string& path) ABSL_LOCKS_EXCLUDED(mutex_);
  // Others need the space.
  void RemoveKept() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Trimmed {
    std::string path;
    uint64_t size_bytes = 0;
  };
  // The name that the oldest is kept under; "" when it is not.
  std::string NameToKeep() ABSL_LOCKS_EXCLUDED(mutex_);

  FileSystem& file_system_;
  const std::string directory_;
  const uint64_t kept_bytes_;
  const size_t kept_max_;
  std::deque<Trimmed> trimmed_;
  uint64_t kept_count_ = 0;  // ever

  Mutex mutex_;
  std::vector<std::string> kept_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tidemark::journal
