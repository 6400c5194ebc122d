#include "src/server/app/memory_limit.h"

#include <algorithm>
#include <fstream>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace tidemark::server {
namespace {

constexpr uint64_t kUnknown = UINT64_MAX;

std::vector<std::string> LinesOf(const std::string& path) {
  std::vector<std::string> lines;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// A file with one number; "max" and absence are no limit.
uint64_t NumberIn(const std::string& path) {
  const std::vector<std::string> lines = LinesOf(path);
  uint64_t number = 0;
  return !lines.empty() && absl::SimpleAtoi(lines.front(), &number) ? number : kUnknown;
}

uint64_t MachineBytes(const std::string& root) {
  for (const std::string& line : LinesOf(absl::StrCat(root, "/proc/meminfo"))) {
    const std::vector<std::string> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
    uint64_t kilobytes = 0;
    if (words.size() >= 2 && words[0] == "MemTotal:" && absl::SimpleAtoi(words[1], &kilobytes)) {
      return kilobytes << 10;
    }
  }
  return kUnknown;
}

// The least limit of the group and those above it. Inside a container the group's path may be that
// of the host, which is not there: then the mount itself is the group.
uint64_t LimitOf(const std::string& mount, std::string group, const std::string& file) {
  uint64_t least = NumberIn(absl::StrCat(mount, "/", file));
  while (group.size() > 1) {
    least = std::min(least, NumberIn(absl::StrCat(mount, group, "/", file)));
    group = group.substr(0, group.rfind('/'));
  }
  return least;
}

uint64_t ControlGroupBytes(const std::string& root) {
  uint64_t least = kUnknown;
  for (const std::string& line : LinesOf(absl::StrCat(root, "/proc/self/cgroup"))) {
    const std::vector<std::string> fields = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (fields.size() != 3) continue;
    if (fields[0] == "0" && fields[1].empty()) {
      const std::string mount = absl::StrCat(root, "/sys/fs/cgroup");
      least = std::min(least, LimitOf(mount, fields[2], "memory.max"));
    }
    for (absl::string_view controller : absl::StrSplit(fields[1], ',')) {
      if (controller != "memory") continue;
      const std::string mount = absl::StrCat(root, "/sys/fs/cgroup/memory");
      least = std::min(least, LimitOf(mount, fields[2], "memory.limit_in_bytes"));
    }
  }
  return least;
}

}  // namespace

uint64_t AvailableMemoryBytes(const std::string& root) {
  return std::min(MachineBytes(root), ControlGroupBytes(root));
}

int64_t DefaultBudgetBytes(uint64_t memory_bytes, uint64_t tmpfs_bytes) {
  constexpr uint64_t kMost = uint64_t{1} << 50;
  uint64_t budget = std::min(memory_bytes, kMost) / 100 * 85;
  if (tmpfs_bytes < kMost) budget = std::min(budget, 2 * tmpfs_bytes);
  return std::max(static_cast<int64_t>(budget), kLeastBudgetBytes);
}

}  // namespace tidemark::server
