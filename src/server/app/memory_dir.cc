#include "src/server/app/memory_dir.h"

#include <filesystem>
#include <system_error>

#include "absl/strings/str_format.h"
#include "src/base/crc32c.h"

namespace tidemark::server {

std::string MemoryDirOf(const std::string& data_dir, const std::string& memory_dir) {
  if (!memory_dir.empty()) return memory_dir;
  std::error_code error;
  std::string resolved = std::filesystem::weakly_canonical(data_dir, error).string();
  if (error) resolved = data_dir;
  while (resolved.size() > 1 && resolved.back() == '/') resolved.pop_back();
  return absl::StrFormat("/dev/shm/tidemark-%08x", Crc32c(resolved));
}

}  // namespace tidemark::server
