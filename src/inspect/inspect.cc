#include "src/inspect/inspect.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace tidemark::inspect {
namespace {

// Whether somebody holds one of the locks; what cannot be found out becomes a finding.
bool IsInUse(FileSystem& files, const std::vector<std::unique_ptr<Part>>& parts, Report* report) {
  bool is_in_use = false;
  for (const std::unique_ptr<Part>& part : parts) {
    const std::string path = part->lock_path();
    if (path.empty() || !files.Exists(path)) continue;
    absl::StatusOr<bool> locked = files.IsLocked(path);
    if (locked.ok()) {
      is_in_use = is_in_use || *locked;
      continue;
    }
    report->findings.push_back(
        {Finding::Kind::kNote,
         absl::StrCat("cannot tell whether a process uses it: ", locked.status().message()), path,
         std::nullopt});
  }
  return is_in_use;
}

}  // namespace

Verdict Report::verdict() const {
  bool damaged = false;
  bool unknown = false;
  const auto look = [&](const std::vector<Finding>& all) {
    for (const Finding& finding : all) {
      damaged = damaged || finding.kind == Finding::Kind::kDamage;
      unknown = unknown || finding.kind == Finding::Kind::kUnknown;
    }
  };
  look(findings);
  for (const PartReport& part : parts) look(part.findings);
  if (damaged && !is_in_use) return Verdict::kDamaged;
  return damaged || unknown ? Verdict::kUnknown : Verdict::kHealthy;
}

Report InspectDataDir(FileSystem& files, const InspectOptions& options,
                      const std::vector<std::unique_ptr<Part>>& parts) {
  Report report;
  report.data_dir = options.data_dir;
  if (absl::StatusOr<std::vector<std::string>> names = files.List(options.data_dir); !names.ok()) {
    report.findings.push_back({Finding::Kind::kUnknown, std::string(names.status().message()),
                               options.data_dir, std::nullopt});
    return report;
  }
  report.is_in_use = IsInUse(files, parts, &report);
  if (report.is_in_use && !options.while_running) {
    report.findings.push_back({Finding::Kind::kUnknown,
                               "in use by a running process: stop it, or give --while-running to "
                               "look at files that change meanwhile",
                               options.data_dir, std::nullopt});
    return report;
  }
  if (report.is_in_use) {
    report.findings.push_back({Finding::Kind::kNote,
                               "in use by a running process: what looks like damage at the newest "
                               "end may be a write in progress",
                               options.data_dir, std::nullopt});
  }
  for (const std::unique_ptr<Part>& part : parts) report.parts.push_back(part->Inspect());
  return report;
}

}  // namespace tidemark::inspect
