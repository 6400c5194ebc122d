// Runs fuzz targets on files: seeds and what campaigns once found, in every build, without
// libFuzzer.
//   fuzz_replay --list
//   fuzz_replay TARGET [FILE|FOLDER...]
// Each input is run whole, and cut off at a few places: what a decoder reads past a short end is
// found that way even by a build that only checks.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>

#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/quiet_log.h"

namespace tidemark::fuzz {
namespace {

constexpr size_t kCuts = 16;

// From memory of exactly its size, so that a sanitizer sees a read behind the end.
void RunOnCopy(const Target& target, absl::string_view input) {
  auto copy = std::make_unique<char[]>(input.size());
  std::copy(input.begin(), input.end(), copy.get());
  target.run(absl::string_view(copy.get(), input.size()));
}

void RunFile(const Target& target, const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  CHECK_MSG(in.good(), path.string());
  const std::string input{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  std::fprintf(stderr, "%s: %zu bytes\n", path.c_str(), input.size());
  RunOnCopy(target, input);
  for (size_t cut = 0; cut < kCuts; ++cut) {
    RunOnCopy(target, absl::string_view(input).substr(0, input.size() * cut / kCuts));
  }
}

// The number of files; folders are read whole, in the order of names.
size_t RunPath(const Target& target, const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return 0;  // no findings yet
  if (!std::filesystem::is_directory(path)) {
    RunFile(target, path);
    return 1;
  }
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  for (const auto& file : files) RunFile(target, file);
  return files.size();
}

int List() {
  std::vector<std::string> names;
  for (const Target& target : Targets()) names.emplace_back(target.name);
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) std::printf("%s\n", name.c_str());
  return 0;
}

int Main(int argc, char** argv) {
  QuietLog::Install();
  const absl::string_view name = argc > 1 ? argv[1] : "";
  if (name == "--list") return List();
  const auto target = std::find_if(Targets().begin(), Targets().end(),
                                   [&](const Target& each) { return each.name == name; });
  if (target == Targets().end()) {
    std::fprintf(stderr, "usage: fuzz_replay --list | TARGET [FILE|FOLDER...]\n");
    return 2;
  }
  size_t files = 0;
  for (int i = 2; i < argc; ++i) files += RunPath(*target, argv[i]);
  std::printf("%s: %zu files\n", target->name, files);
  return files > 0 ? 0 : 2;  // a replay of nothing proves nothing
}

}  // namespace
}  // namespace tidemark::fuzz

int main(int argc, char** argv) { return tidemark::fuzz::Main(argc, argv); }
