// The file that will be the next segment, as long as it has no segment's name.
//
// Hides that name, that the space is reserved ahead of need, and that it is filled with zeros a
// step at a time: the first write into space that is only reserved makes the file system note that
// it is in use now, and a sync that has to wait for that takes about twice as long as one into
// space that was written before (docs/performance.md).
//
// Used by one thread, but for what NextFill returns: that runs once, on any thread, and may take as
// long as a write and a sync of kFillStepBytesMax; Take, Reserve and Remove wait for it.
//
// Invariants:
//  1. Whatever of the file its taker did not write is zeros.
//  2. From Take on nothing is written here any more.
//  3. At most one fill is under way.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "src/base/file_system.h"
#include "src/base/mutex.h"
#include "src/journal/block_writer.h"
#include "src/journal/trimmed_segments.h"

namespace tidemark::journal {

// The smaller, the less a block's sync waits behind it; the larger, the fewer syncs.
inline constexpr uint64_t kFillStepBytesMax = uint64_t{256} << 10;

class SpareSegment : public std::enable_shared_from_this<SpareSegment> {
 public:
  // `trimmed`: whose files are used again. `writes_directly`: zeros go past the page cache, where
  // files can be written so.
  SpareSegment(FileSystem& file_system, const std::string& directory,
               std::shared_ptr<TrimmedSegments> trimmed, bool writes_directly);

  const std::string& path() const { return path_; }
  uint64_t size_bytes() const { return size_bytes_; }

  // Also what an earlier process left.
  absl::Status Remove();
  // At least so many bytes. After an error what the attempt took has been given back.
  absl::Status Reserve(uint64_t size_bytes);
  // What is reserved, if anything. The file keeps the spare's name.
  std::shared_ptr<File> Take();
  // Taken, but it got no other name; whoever takes it again writes anew what it wrote.
  void PutBack(std::shared_ptr<File> file, uint64_t size_bytes);

  // The next step on the way to `goal_bytes` of zeros; nullptr when there is none, or one is under
  // way.
  using Fill = absl::AnyInvocable<void()>;
  Fill NextFill(uint64_t goal_bytes);

 private:
  absl::Status Create();
  absl::Status Preallocate(uint64_t size_bytes);
  absl::Status WriteZeros(uint64_t offset, uint64_t size_bytes)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RunFill(const std::shared_ptr<File>& file, uint64_t offset, uint64_t step_bytes);

  FileSystem& file_system_;
  const std::string path_;
  const std::shared_ptr<TrimmedSegments> trimmed_;
  std::shared_ptr<File> file_;
  bool holds_old_segment_ = false;
  uint64_t size_bytes_ = 0;

  std::atomic<bool> is_filling_{false};
  Mutex mutex_;                                            // held by a fill
  std::shared_ptr<File> to_fill_ ABSL_GUARDED_BY(mutex_);  // file_, unless it was given up
  uint64_t filled_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  BlockWriter writer_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tidemark::journal
