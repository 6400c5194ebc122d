// Where the kernel keeps what limits this process: the folders of its control group and of those
// above it, which limit it as well.
//
// Hides the two versions of the kernel's interface, and that the group's path may be the host's,
// which is not there inside a container: then the mount itself is the group.
// Stateless functions.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace tidemark::server {

struct ControlGroupFolder {
  std::string path;
  bool is_v1 = false;
};
// Some may not exist. `controller` as version 1 names it ("memory"); `root` is "" but in tests.
std::vector<ControlGroupFolder> ControlGroupFolders(const std::string& root,
                                                    absl::string_view controller);

// None when there is no such file.
std::vector<std::string> LinesOf(const std::string& path);

}  // namespace tidemark::server
