// Second copies of the newest headers, each in a file of its own beside the database.
//
// With a header and the memory of a former process a start needs no records, so a database that
// cannot be opened any more, or lost its newest state, must not take the headers with it.
// Hides the files ("header-p<partition>", replaced as a whole). Writing is best effort: a copy that
// could not be written leaves an older one, which nobody takes for the newest as long as the
// database has that.
// Used by one thread at a time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "src/base/file_system.h"
#include "src/kvstore/checkpoint/record_codec.h"

namespace tidemark::kvstore {

class HeaderCopies {
 public:
  HeaderCopies(FileSystem& files, std::string directory)
      : files_(files), directory_(std::move(directory)) {}

  // REQUIRES: the database has it durably.
  void Write(const StoredHeader& stored) const;
  // Those of `store` that are whole; of others the log says why not.
  std::vector<StoredHeader> Load(uint64_t store) const;

 private:
  absl::Status Replace(const std::string& path, absl::string_view content) const;

  FileSystem& files_;
  const std::string directory_;
};

}  // namespace tidemark::kvstore
