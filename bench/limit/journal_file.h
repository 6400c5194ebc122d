// Appends that are durable when they return, with one write each into a file that is there already:
// what waiting for a disk costs at least.
//
// The file is filled with zeros before and then written from its start again and again, so that an
// append moves data alone and no metadata. It goes past the page cache (O_DIRECT, RWF_DSYNC), or
// where that is refused through it, with an fdatasync. Bound to one thread.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"

namespace tidemark::bench {

class JournalFile {
 public:
  static constexpr int64_t kFileBytes = 64 << 20;
  static constexpr int64_t kSectorBytes = 512;  // where appends begin

  explicit JournalFile(const std::string& path, bool may_be_direct = true);
  ~JournalFile();

  void AppendAndSync(absl::string_view bytes);
  int64_t syncs() const { return syncs_; }
  // How the last append was written, or the first will be tried.
  bool is_direct() const { return direct_fd_ >= 0; }
  absl::string_view way() const {
    return is_direct() ? "O_DIRECT, RWF_DSYNC" : "page cache, fdatasync";
  }

 private:
  struct Free {
    void operator()(char* memory) const { std::free(memory); }
  };

  bool WriteDirectly(absl::string_view bytes, size_t padded);  // false: refused, now and later

  int fd_;
  int direct_fd_ = -1;
  std::unique_ptr<char, Free> block_;  // aligned, for direct writes
  int64_t at_ = 0;
  int64_t syncs_ = 0;
};

}  // namespace tidemark::bench
