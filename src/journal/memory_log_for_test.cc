#include "src/journal/memory_log_for_test.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "src/base/check.h"

namespace tidemark::journal {

Position MemoryLog::first() const { return trimmed_.Next(); }

Position MemoryLog::last() const { return blocks_.empty() ? trimmed_ : blocks_.back().last(); }

absl::Status MemoryLog::Append(const LogBlock& block) {
  CHECK(block.first == last().Next());
  CHECK(block.entry_count > 0);
  CHECK(synced_count_ == blocks_.size());
  if (!append_status_.ok()) return append_status_;
  std::string body;
  for (absl::string_view run : block.body) body.append(run.data(), run.size());
  CHECK(!body.empty());
  size_bytes_ += body.size();
  blocks_.push_back(
      {block.first, block.entry_count, block.term, SharedBytes::Own(std::move(body))});
  return absl::OkStatus();
}

void MemoryLog::Sync() { synced_count_ = blocks_.size(); }

absl::StatusOr<std::vector<StoredBlock>> MemoryLog::Read(Position from, size_t size_bytes) {
  if (from < first() || from > last().Next()) {
    return absl::OutOfRangeError(absl::StrCat("position ", from.value(), " is not between ",
                                              first().value(), " and ", last().value()));
  }
  std::vector<StoredBlock> found;
  size_t found_bytes = 0;
  for (const StoredBlock& block : blocks_) {
    if (block.last() < from) continue;
    if (!found.empty() && found_bytes >= size_bytes) break;
    found_bytes += block.body.size();
    found.push_back(block);
  }
  return found;
}

bool MemoryLog::CanTrim(Position up_to) const {
  return !blocks_.empty() && blocks_.front().last() <= up_to;
}

LogStorage::Removal MemoryLog::Trim(Position up_to) {
  CHECK(synced_count_ == blocks_.size());
  while (CanTrim(up_to)) {
    trimmed_ = blocks_.front().last();
    size_bytes_ -= blocks_.front().body.size();
    blocks_.pop_front();
  }
  synced_count_ = blocks_.size();
  return [] { return absl::OkStatus(); };
}

void MemoryLog::Crash() {
  while (blocks_.size() > synced_count_) {
    size_bytes_ -= blocks_.back().body.size();
    blocks_.pop_back();
  }
}

}  // namespace tidemark::journal
