#include "src/journal/spare_segment.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "src/base/check.h"
#include "src/base/failpoint.h"
#include "src/journal/disk_errors.h"

namespace tidemark::journal {
namespace {

constexpr char kSpareName[] = "next-segment.tmp";
constexpr uint64_t kPageBytes = 4096;
constexpr char kZeroPage[kPageBytes] = {};

// A small segment takes several steps as well, so that tests see it half done.
uint64_t FillStepBytes(uint64_t segment_bytes) {
  return std::clamp(segment_bytes / 64 / kPageBytes * kPageBytes, kPageBytes, kFillStepBytesMax);
}

}  // namespace

SpareSegment::SpareSegment(FileSystem& file_system, const std::string& directory,
                           std::shared_ptr<TrimmedSegments> trimmed, bool writes_directly)
    : file_system_(file_system),
      path_(absl::StrCat(directory, "/", kSpareName)),
      trimmed_(std::move(trimmed)),
      writer_(writes_directly) {}

absl::Status SpareSegment::Remove() {
  Take();
  return file_system_.Exists(path_) ? file_system_.Remove(path_) : absl::OkStatus();
}

absl::Status SpareSegment::Create() {
  absl::Status removed = Remove();
  if (!removed.ok()) return removed;
  holds_old_segment_ = trimmed_->Reuse(path_);
  auto file = file_system_.Open(
      path_, holds_old_segment_ ? OpenMode::kReadWrite : OpenMode::kCreateExclusive);
  if (!file.ok()) {
    absl::Status given_back = Remove();
    return given_back.ok() ? file.status() : given_back;
  }
  file_ = *std::move(file);
  MutexLock lock(&mutex_);
  filled_bytes_ = 0;
  return absl::OkStatus();
}

absl::Status SpareSegment::Reserve(uint64_t size_bytes) {
  if (size_bytes_ >= size_bytes) return absl::OkStatus();
  if (file_ == nullptr) {
    absl::Status created = Create();
    if (!created.ok()) return created;
  }
  absl::Status reserved = Preallocate(size_bytes);
  if (!reserved.ok()) {
    // Gives back what the attempt may have taken.
    absl::Status removed = Remove();
    return removed.ok() ? reserved : removed;
  }
  size_bytes_ = size_bytes;
  return absl::OkStatus();
}

absl::Status SpareSegment::Preallocate(uint64_t size_bytes) {
  MutexLock lock(&mutex_);
  const bool anew = holds_old_segment_ && !PLANTED_BUG("journal_reused_with_what_it_held");
  absl::Status reserved =
      anew ? file_->PreallocateAnew(size_bytes) : file_->Preallocate(size_bytes);
  if (!reserved.ok()) return reserved;
  holds_old_segment_ = false;
  to_fill_ = file_;
  return reserved;
}

std::shared_ptr<File> SpareSegment::Take() {
  MutexLock lock(&mutex_);
  to_fill_.reset();
  size_bytes_ = 0;
  return std::exchange(file_, nullptr);
}

void SpareSegment::PutBack(std::shared_ptr<File> file, uint64_t size_bytes) {
  CHECK(file_ == nullptr);
  file_ = std::move(file);
  size_bytes_ = size_bytes;
}

SpareSegment::Fill SpareSegment::NextFill(uint64_t goal_bytes) {
  if (is_filling_.load(std::memory_order_acquire)) return nullptr;  // and may hold the mutex
  MutexLock lock(&mutex_);
  if (to_fill_ == nullptr || filled_bytes_ >= std::min(goal_bytes, size_bytes_)) return nullptr;
  const uint64_t step = std::min(FillStepBytes(size_bytes_), size_bytes_ - filled_bytes_);
  is_filling_.store(true, std::memory_order_relaxed);
  return [spare = shared_from_this(), file = to_fill_, offset = filled_bytes_, step] {
    spare->RunFill(file, offset, step);
    spare->is_filling_.store(false, std::memory_order_release);
  };
}

// Through the page cache there is a sync, too: it bounds what waits there for whoever takes the
// file.
absl::Status SpareSegment::WriteZeros(uint64_t offset, uint64_t size_bytes) {
  std::vector<absl::string_view> runs;
  for (uint64_t left = size_bytes; left > 0; left -= runs.back().size()) {
    runs.emplace_back(kZeroPage, std::min(left, kPageBytes));
  }
  absl::Status written = writer_.Write(offset, runs, Durability::kWritten);
  writer_.Sync();
  return written;
}

void SpareSegment::RunFill(const std::shared_ptr<File>& file, uint64_t offset, uint64_t step) {
  MutexLock lock(&mutex_);
  if (file != to_fill_ && !PLANTED_BUG("journal_fill_of_a_taken_segment")) return;
  FAIL_POINT("journal.before_fill");
  writer_.Use(file);
  absl::Status written = WriteZeros(offset, step);
  writer_.Use(nullptr);
  if (!written.ok()) {
    // It stays a good segment: reserved space reads as zeros too.
    to_fill_.reset();
    return;
  }
  FAIL_POINT("journal.after_fill");
  filled_bytes_ = offset + step;
}

}  // namespace tidemark::journal
