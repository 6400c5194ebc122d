// A directory for one test, removed with everything in it.
//
// For tests only. Bound to the test's thread.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

#include "src/base/check.h"

namespace tidemark {

class TemporaryDirectory {
 public:
  // Under `parent`, or where the system keeps temporary files.
  explicit TemporaryDirectory(
      const std::string& parent = std::filesystem::temp_directory_path().string())
      : path_(parent + "/tidemark-test-XXXXXX") {
    CHECK_MSG(::mkdtemp(path_.data()) != nullptr, path_);
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace tidemark
