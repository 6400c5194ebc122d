#include "src/journal/block_writer.h"

#include <utility>

#include "src/base/check.h"
#include "src/base/failpoint.h"
#include "src/base/log.h"
#include "src/journal/disk_errors.h"

namespace tidemark::journal {

void BlockWriter::Use(std::shared_ptr<File> file) {
  CHECK(!has_unsynced_);
  file_ = std::move(file);
  if (!PLANTED_BUG("journal_direct_writes_given_up") || !told_) {
    writes_directly_ = may_write_directly_;
  }
}

absl::Status BlockWriter::Write(uint64_t offset, absl::Span<const absl::string_view> runs,
                                Durability durability) {
  CHECK(!has_unsynced_);
  absl::Status written = WriteDirectly(offset, runs, durability);
  if (!absl::IsUnimplemented(written)) return OnlyNoSpace(written);
  written = OnlyNoSpace(file_->WriteAt(offset, runs));
  has_unsynced_ = written.ok();
  return written;
}

absl::Status BlockWriter::WriteHint(uint64_t offset, absl::string_view bytes) {
  absl::Status written = WriteDirectly(offset, {bytes}, Durability::kDurable);
  if (absl::IsUnimplemented(written)) written = file_->WriteAt(offset, {bytes});
  return OnlyNoSpace(written);
}

absl::Status BlockWriter::Rewrite(uint64_t offset, absl::string_view bytes) {
  absl::Status written = OnlyNoSpace(file_->WriteAt(offset, {bytes}));
  if (written.ok()) MustSucceed(file_->SyncData());
  return written;
}

// Unimplemented: whatever was written does not count.
absl::Status BlockWriter::WriteDirectly(uint64_t offset, absl::Span<const absl::string_view> runs,
                                        Durability durability) {
  if (!writes_directly_) return absl::UnimplementedError("by the page cache");
  if (PLANTED_BUG("journal_direct_write_not_durable")) durability = Durability::kWritten;
  absl::Status written = file_->WriteDirectly(offset, runs, durability);
  if (absl::IsUnimplemented(written)) {
    writes_directly_ = false;
    if (std::exchange(told_, true)) return written;
    TLOG(kInfo, "the journal's files cannot be written past the page cache: a block is two steps");
  }
  return written;
}

void BlockWriter::Sync() {
  if (!has_unsynced_) return;
  FAIL_POINT("journal.before_sync");
  MustSucceed(file_->SyncData());
  FAIL_POINT("journal.after_sync");
  has_unsynced_ = false;
}

}  // namespace tidemark::journal
