#include "src/journal/trimmed_segments.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "src/base/failpoint.h"
#include "src/journal/disk_errors.h"

namespace tidemark::journal {

TrimmedSegments::TrimmedSegments(FileSystem& file_system, std::string directory,
                                 uint64_t kept_bytes, size_t kept_max)
    : file_system_(file_system),
      directory_(std::move(directory)),
      kept_bytes_(kept_bytes),
      kept_max_(kept_max) {}

void TrimmedSegments::Add(std::string path, uint64_t size_bytes) {
  trimmed_.push_back({std::move(path), size_bytes});
}

// A start removes what has such a name.
std::string TrimmedSegments::NameToKeep() {
  if (trimmed_.front().size_bytes != kept_bytes_) return "";
  MutexLock lock(&mutex_);
  if (kept_.size() >= kept_max_) return "";
  return absl::StrCat(directory_, "/kept-segment-", ++kept_count_, ".tmp");
}

absl::Status TrimmedSegments::TakeAway() {
  while (!trimmed_.empty()) {
    FAIL_POINT("journal.before_segment_remove");
    const std::string& path = trimmed_.front().path;
    std::string kept = NameToKeep();
    // Where space is short a file may be removed, but not renamed.
    if (!kept.empty() && !file_system_.Rename(path, kept).ok()) kept.clear();
    absl::Status gone = kept.empty() ? file_system_.Remove(path) : absl::OkStatus();
    if (!gone.ok() && !PLANTED_BUG("journal_unremoved_segment_forgotten")) return gone;
    trimmed_.pop_front();
    const bool is_durable = !PLANTED_BUG("journal_removals_unordered") || trimmed_.empty();
    if (is_durable && !PLANTED_BUG("journal_reused_under_its_old_name")) {
      MustSucceed(file_system_.SyncDirectory(directory_));
    }
    if (kept.empty()) continue;
    MutexLock lock(&mutex_);
    kept_.push_back(std::move(kept));
  }
  return absl::OkStatus();
}

bool TrimmedSegments::Reuse(const std::string& path) {
  MutexLock lock(&mutex_);
  if (kept_.empty()) return false;
  const std::string kept = std::move(kept_.back());
  kept_.pop_back();
  if (file_system_.Rename(kept, path).ok()) return true;
  file_system_.Remove(kept).IgnoreError();  // else a start does
  return false;
}

void TrimmedSegments::RemoveKept() {
  std::vector<std::string> kept;
  {
    MutexLock lock(&mutex_);
    kept.swap(kept_);
  }
  // What cannot be removed, a start removes.
  for (const std::string& path : kept) file_system_.Remove(path).IgnoreError();
}

}  // namespace tidemark::journal
