#include "src/base/tmpfs_spare.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <utility>

#include "src/base/tmpfs_region_file.h"

namespace tidemark {

TmpfsSpare::~TmpfsSpare() {
  if (spare_.empty()) return;
  Unmap(spare_);
  ::unlink(path_.c_str());
}

void TmpfsSpare::Make(size_t size_bytes, BlockingRunner& runner) {
  {
    MutexLock lock(&mutex_);
    if (is_being_made_ || !spare_.empty()) return;
    is_being_made_ = true;
  }
  runner.Run([self = shared_from_this(), size_bytes] { self->MakeNow(size_bytes); });
}

void TmpfsSpare::MakeNow(size_t size_bytes) {
  absl::StatusOr<absl::Span<char>> made = absl::Span<char>();
  if (free_bytes_() / kLeastParts >= size_bytes) made = CreateRegionFile(path_, size_bytes);
  MutexLock lock(&mutex_);
  is_being_made_ = false;
  if (made.ok()) spare_ = *made;
}

absl::Span<char> TmpfsSpare::Take(size_t size_bytes, const std::string& path) {
  MutexLock lock(&mutex_);
  if (spare_.size() != size_bytes) return {};
  if (::renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE) != 0) {
    return {};
  }
  return std::exchange(spare_, {});
}

}  // namespace tidemark
