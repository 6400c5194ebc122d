#include "src/server/app/control_group.h"

#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace tidemark::server {
namespace {

void AddFolders(const std::string& mount, std::string group, bool is_v1,
                std::vector<ControlGroupFolder>& folders) {
  folders.push_back({mount, is_v1});
  for (; group.size() > 1; group = group.substr(0, group.rfind('/'))) {
    folders.push_back({absl::StrCat(mount, group), is_v1});
  }
}

}  // namespace

std::vector<std::string> LinesOf(const std::string& path) {
  std::vector<std::string> lines;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::vector<ControlGroupFolder> ControlGroupFolders(const std::string& root,
                                                    absl::string_view controller) {
  std::vector<ControlGroupFolder> folders;
  for (const std::string& line : LinesOf(absl::StrCat(root, "/proc/self/cgroup"))) {
    const std::vector<std::string> fields = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (fields.size() != 3) continue;
    const std::string mount = absl::StrCat(root, "/sys/fs/cgroup");
    if (fields[0] == "0" && fields[1].empty()) AddFolders(mount, fields[2], false, folders);
    for (absl::string_view its : absl::StrSplit(fields[1], ',')) {
      if (its != controller) continue;
      AddFolders(absl::StrCat(mount, "/", controller), fields[2], true, folders);
    }
  }
  return folders;
}

}  // namespace tidemark::server
