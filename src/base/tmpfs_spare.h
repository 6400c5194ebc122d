// A region's file that is made before it is asked for.
//
// Hides that the kernel takes milliseconds to clear and map the pages of a segment, which nobody
// who stores a record should wait for. Thread-safe; made on a runner's thread.
//
// Invariants:
//  1. There is at most one, of the size last expected, and only where the directory has plenty of
//     room: it never takes what a write was promised (mvcc/segment_room.h).
//  2. Its file has another suffix than a region's, and the next owner of the directory removes it.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/types/span.h"
#include "src/base/executor.h"
#include "src/base/mutex.h"

namespace tidemark {

class TmpfsSpare : public std::enable_shared_from_this<TmpfsSpare> {
 public:
  static constexpr absl::string_view kSuffix = ".spare";

  // `free_bytes` of the directory, now.
  TmpfsSpare(const std::string& directory, std::function<uint64_t()> free_bytes)
      : path_(directory + "/next" + std::string(kSuffix)), free_bytes_(std::move(free_bytes)) {}
  ~TmpfsSpare();

  // Makes one on `runner`, unless there is one or it is being made.
  void Make(size_t size_bytes, BlockingRunner& runner) ABSL_LOCKS_EXCLUDED(mutex_);
  // The spare under another name, which must be free; empty when there is none of that size.
  absl::Span<char> Take(size_t size_bytes, const std::string& path) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  // Of free memory, a spare takes no more than one part in so many.
  static constexpr uint64_t kLeastParts = 64;

  void MakeNow(size_t size_bytes) ABSL_LOCKS_EXCLUDED(mutex_);

  const std::string path_;
  const std::function<uint64_t()> free_bytes_;
  Mutex mutex_;
  bool is_being_made_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Span<char> spare_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tidemark
