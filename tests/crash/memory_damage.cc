#include "tests/crash/memory_damage.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "src/base/check.h"

namespace tidemark::crash {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> Regions(const std::string& directory) {
  std::vector<fs::path> regions;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory)) {
    if (entry.path().extension() == ".region") regions.push_back(entry.path());
  }
  std::sort(regions.begin(), regions.end());
  return regions;
}

void Tear(const fs::path& region, std::mt19937_64& random) {
  const uint64_t size_bytes = fs::file_size(region);
  if (size_bytes == 0) return;  // cut before, and not looked at since
  const uint64_t at = random() % size_bytes;
  std::fstream file(region, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(at));
  if (random() % 2 == 0) {
    file << "torn";
  } else {
    const std::string zeros(std::min<uint64_t>(size_bytes - at, 1 << 20), '\0');
    file.write(zeros.data(), static_cast<std::streamsize>(zeros.size()));
  }
  CHECK(file.good());
}

}  // namespace

MemoryFault DrawMemoryFault(std::mt19937_64& random) {
  constexpr MemoryFault kFaults[] = {MemoryFault::kWiped, MemoryFault::kMissing, MemoryFault::kTorn,
                                     MemoryFault::kCut};
  return random() % 2 == 0 ? MemoryFault::kKept : kFaults[random() % std::size(kFaults)];
}

void DamageMemory(const std::string& memory_directory, MemoryFault fault, std::mt19937_64& random) {
  const std::vector<fs::path> regions = Regions(memory_directory);
  if (regions.empty() || fault == MemoryFault::kKept) return;
  const fs::path& region = regions[random() % regions.size()];
  switch (fault) {
    case MemoryFault::kKept:
      return;
    case MemoryFault::kWiped:
      for (const fs::path& each : regions) fs::remove(each);
      return;
    case MemoryFault::kMissing:
      fs::remove(region);
      return;
    case MemoryFault::kTorn:
      return Tear(region, random);
    case MemoryFault::kCut:
      fs::resize_file(region, random() % (fs::file_size(region) + 1));
      return;
  }
}

int64_t CountStarts(const std::string& log_path, absl::string_view way) {
  std::ifstream log(log_path);
  const std::string wanted = absl::StrCat("\"way\":\"", way, "\"");
  int64_t count = 0;
  for (std::string line; std::getline(log, line);) count += absl::StrContains(line, wanted);
  return count;
}

}  // namespace tidemark::crash
