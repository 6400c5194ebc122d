// `tidemark inspect DATA_DIR [--json] [--while-running] [--wal-dir DIR]`: prints and checks a data
// directory without a server, without locks and without writing (docs/inspect.md).
//
// Hides the command's arguments and which parts a data directory has. Used by one thread.
#pragma once

#include <string>

#include "absl/types/span.h"
#include "src/base/clock.h"
#include "src/base/file_system.h"

namespace tidemark::server {

struct InspectOutcome {
  int code = 2;  // 0 healthy, 1 damaged, 2 cannot tell or wrong usage
  std::string out;
  std::string err;
};

// `arguments` are those behind "inspect".
InspectOutcome RunInspect(absl::Span<const std::string> arguments, FileSystem& files,
                          const Clock& clock);

}  // namespace tidemark::server
