#include "src/kvstore/checkpoint/table_content.h"

#include <memory>

#include "absl/strings/str_cat.h"
#include "rocksdb/env.h"
#include "rocksdb/file_system.h"
#include "rocksdb/sst_file_reader.h"
#include "src/base/crc32c.h"
#include "src/base/failpoint.h"
#include "src/kvstore/checkpoint/rocks_status.h"

namespace tidemark::kvstore {
namespace {

absl::string_view View(const rocksdb::Slice& slice) {
  return absl::string_view(slice.data(), slice.size());
}

// What is read next comes from the disk. Where a file system keeps nothing but its cache, it stays.
void ForgetCached(const std::string& path, const rocksdb::Options& options) {
  if (PLANTED_BUG("checkpoint_read_back_from_cache")) return;
  std::unique_ptr<rocksdb::FSRandomAccessFile> file;
  const rocksdb::IOStatus opened = options.env->GetFileSystem()->NewRandomAccessFile(
      path, rocksdb::FileOptions(), &file, /*dbg=*/nullptr);
  if (opened.ok()) file->InvalidateCache(0, 0).PermitUncheckedError();
}

}  // namespace

void TableContent::AddRow(absl::string_view key, absl::string_view value) {
  ++rows_;
  crc_ = ExtendCrc32c(ExtendCrc32c(crc_, key), value);
}

absl::Status TableContent::CompareWith(const std::string& path, const rocksdb::Options& options,
                                       const rocksdb::ReadOptions& read, ReadBackPace& pace) const {
  if (pace.is_interrupted()) return absl::CancelledError("the server is stopping");
  ForgetCached(path, options);
  rocksdb::SstFileReader reader(options);
  if (rocksdb::Status opened = reader.Open(path); !opened.ok()) {
    return FromRocks(opened, "reading back", path);
  }
  // The iterator passes over removals.
  if (removals_ > 0) {
    if (rocksdb::Status blocks = reader.VerifyChecksum(read); !blocks.ok()) {
      return FromRocks(blocks, "reading back", path);
    }
  }
  TableContent found;
  found.removals_ = static_cast<int64_t>(reader.GetTableProperties()->num_deletions);
  const std::unique_ptr<rocksdb::Iterator> row(reader.NewIterator(read));
  int64_t unpaid_bytes = 0;
  for (row->SeekToFirst(); row->Valid(); row->Next()) {
    found.AddRow(View(row->key()), View(row->value()));
    unpaid_bytes += static_cast<int64_t>(row->key().size() + row->value().size());
    for (; unpaid_bytes >= pace.at_once_bytes(); unpaid_bytes -= pace.at_once_bytes()) {
      if (!pace.Pay()) return absl::CancelledError("the server is stopping");
    }
  }
  if (!row->status().ok()) return FromRocks(row->status(), "reading back", path);
  if (found.rows_ == rows_ && found.removals_ == removals_ && found.crc_ == crc_) {
    return absl::OkStatus();
  }
  return DamageError(absl::StrCat("read back ", found.rows_, " rows and ", found.removals_,
                                  " removals; written: ", rows_, " and ", removals_,
                                  found.crc_ == crc_ ? "" : ", with other bytes"),
                     path);
}

}  // namespace tidemark::kvstore
