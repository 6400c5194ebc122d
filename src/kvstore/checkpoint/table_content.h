// What a table was given, to be compared with what the disk gives back.
//
// A checkpoint takes the place of the one before it, and the journal is trimmed behind it: so its
// tables are read again while both are still there. Hides how a finished table is read past the
// kernel's cache.
// Bound to the thread that writes the table.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "rocksdb/options.h"
#include "src/kvstore/checkpoint/read_back_pace.h"

namespace tidemark::kvstore {

class TableContent {
 public:
  void AddRow(absl::string_view key, absl::string_view value);
  void AddRemoval() { ++removals_; }

  // Reads the table at `path`, finished and synced, at the given pace: OK when it holds the same
  // rows in the same order and as many removals, and every block checksum is right. Otherwise
  // DataLoss, with the words of rocks_status.h; Internal where it cannot be read; Cancelled soon
  // after the pace is interrupted. Of removals only their number is compared.
  absl::Status CompareWith(const std::string& path, const rocksdb::Options& options,
                           const rocksdb::ReadOptions& read, ReadBackPace& pace) const;

 private:
  int64_t rows_ = 0;
  int64_t removals_ = 0;
  uint32_t crc_ = 0;  // over keys and values
};

}  // namespace tidemark::kvstore
