// Appends with one write and one fdatasync, into a file that is there already: what waiting for a
// disk costs at least.
//
// The file is written once before and then again from its start, so that a sync moves data alone
// and no metadata. Bound to one thread.
#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace tidemark::bench {

class JournalFile {
 public:
  static constexpr int64_t kFileBytes = 64 << 20;

  explicit JournalFile(const std::string& path);
  ~JournalFile();

  void AppendAndSync(absl::string_view bytes);
  int64_t syncs() const { return syncs_; }

 private:
  int fd_;
  int64_t at_ = 0;
  int64_t syncs_ = 0;
};

}  // namespace tidemark::bench
