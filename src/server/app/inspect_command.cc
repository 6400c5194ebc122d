#include "src/server/app/inspect_command.h"

#include <memory>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "src/inspect/checkpoint_part.h"
#include "src/inspect/inspect.h"
#include "src/inspect/journal_part.h"
#include "src/inspect/memory_part.h"
#include "src/server/app/identity_part.h"
#include "src/server/app/memory_dir.h"

namespace tidemark::server {
namespace {

constexpr char kUsage[] =
    "Usage:\n\n"
    "  tidemark inspect DATA_DIR [--json] [--while-running] [--wal-dir DIR] [--memory-dir DIR]\n"
    "    Print and check a data directory; nothing is locked or written.\n"
    "    Exit code: 0 healthy, 1 damaged, 2 cannot tell.\n\n"
    "  --json           for scripts\n"
    "  --while-running  look although a server uses the directory\n"
    "  --wal-dir DIR    the journal's directory, when the server was given one\n"
    "  --memory-dir DIR the store's memory, when the server was given a directory for it\n";

struct Arguments {
  inspect::InspectOptions options;
  std::string wal_dir;
  std::string memory_dir;
  bool json = false;
  bool help = false;
};

absl::StatusOr<Arguments> Parse(absl::Span<const std::string> arguments) {
  Arguments parsed;
  for (size_t i = 0; i < arguments.size(); ++i) {
    absl::string_view argument = arguments[i];
    if (argument == "--json") {
      parsed.json = true;
    } else if (argument == "--while-running") {
      parsed.options.while_running = true;
    } else if (argument == "--help" || argument == "-h") {
      parsed.help = true;
    } else if (argument == "--wal-dir" && i + 1 < arguments.size()) {
      parsed.wal_dir = arguments[++i];
    } else if (absl::StartsWith(argument, "--wal-dir=")) {
      parsed.wal_dir = std::string(argument.substr(10));
    } else if (argument == "--memory-dir" && i + 1 < arguments.size()) {
      parsed.memory_dir = arguments[++i];
    } else if (absl::StartsWith(argument, "--memory-dir=")) {
      parsed.memory_dir = std::string(argument.substr(13));
    } else if (absl::StartsWith(argument, "-")) {
      return absl::InvalidArgumentError(absl::StrCat("unknown flag ", argument));
    } else if (!parsed.options.data_dir.empty()) {
      return absl::InvalidArgumentError(absl::StrCat("one directory only, not ", argument, " too"));
    } else {
      parsed.options.data_dir = std::string(argument);
    }
  }
  std::string& data_dir = parsed.options.data_dir;
  if (data_dir.empty() && !parsed.help) {
    return absl::InvalidArgumentError("which data directory?");
  }
  while (data_dir.size() > 1 && data_dir.back() == '/') data_dir.pop_back();
  return parsed;
}

}  // namespace

InspectOutcome RunInspect(absl::Span<const std::string> arguments, FileSystem& files,
                          const Clock& clock) {
  absl::StatusOr<Arguments> parsed = Parse(arguments);
  if (!parsed.ok()) {
    return {2, "", absl::StrCat("tidemark inspect: ", parsed.status().message(), "\n", kUsage)};
  }
  if (parsed->help) return {0, kUsage, ""};
  const std::string& data_dir = parsed->options.data_dir;
  const std::string journal = parsed->wal_dir.empty() ? data_dir + "/journal" : parsed->wal_dir;
  std::vector<std::unique_ptr<inspect::Part>> parts;
  inspect::DirectoryFacts facts;
  parts.push_back(MakeIdentityPart(files, data_dir, &facts));
  parts.push_back(inspect::MakeJournalPart(files, clock, journal, &facts));
  parts.push_back(inspect::MakeCheckpointPart(files, data_dir + "/checkpoints", &facts));
  parts.push_back(
      inspect::MakeMemoryPart(files, MemoryDirOf(data_dir, parsed->memory_dir), &facts));
  const inspect::Report report = inspect::InspectDataDir(files, parsed->options, parts);
  InspectOutcome outcome;
  outcome.code = static_cast<int>(report.verdict());
  outcome.out = parsed->json ? inspect::RenderJson(report) : inspect::RenderText(report);
  return outcome;
}

}  // namespace tidemark::server
