#include "src/server/app/machine_share.h"

#include <algorithm>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "src/server/app/control_group.h"

namespace tidemark::server {
namespace {

constexpr uint64_t kUnknown = UINT64_MAX;

// "max", a negative number and absence are no limit.
uint64_t NumberOf(absl::string_view text) {
  uint64_t number = 0;
  return absl::SimpleAtoi(text, &number) ? number : kUnknown;
}

std::string FirstLineOf(const std::string& path) {
  const std::vector<std::string> lines = LinesOf(path);
  return lines.empty() ? "" : lines.front();
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

// What the group may run in each period, in cores; kUnknown when there is no limit.
uint64_t CoresOf(const ControlGroupFolder& folder) {
  std::vector<std::string> quota_and_period;
  if (folder.is_v1) {
    quota_and_period = {FirstLineOf(folder.path + "/cpu.cfs_quota_us"),
                        FirstLineOf(folder.path + "/cpu.cfs_period_us")};
  } else {
    quota_and_period = absl::StrSplit(FirstLineOf(folder.path + "/cpu.max"), ' ');
  }
  if (quota_and_period.size() != 2) return kUnknown;
  const uint64_t quota = NumberOf(quota_and_period[0]);
  const uint64_t period = NumberOf(quota_and_period[1]);
  if (quota == kUnknown || period == kUnknown || period == 0) return kUnknown;
  return std::max<uint64_t>(1, quota / period + (quota % period != 0 ? 1 : 0));
}

}  // namespace

uint64_t AvailableMemoryBytes(const std::string& root) {
  uint64_t least = MachineBytes(root);
  for (const ControlGroupFolder& folder : ControlGroupFolders(root, "memory")) {
    const std::string file = folder.is_v1 ? "/memory.limit_in_bytes" : "/memory.max";
    least = std::min(least, NumberOf(FirstLineOf(folder.path + file)));
  }
  return least;
}

size_t AvailableCores(size_t cores, const std::string& root) {
  uint64_t least = std::max<size_t>(cores, 1);
  for (const ControlGroupFolder& folder : ControlGroupFolders(root, "cpu")) {
    least = std::min(least, CoresOf(folder));
  }
  return least;
}

int64_t DefaultBudgetBytes(uint64_t memory_bytes, uint64_t tmpfs_bytes) {
  constexpr uint64_t kMost = uint64_t{1} << 50;
  uint64_t budget = std::min(memory_bytes, kMost) / 100 * 85;
  if (tmpfs_bytes < kMost) budget = std::min(budget, 2 * tmpfs_bytes);
  return std::max(static_cast<int64_t>(budget), kLeastBudgetBytes);
}

}  // namespace tidemark::server
