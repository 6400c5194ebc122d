// A look at a data directory from outside: every part of it, and one verdict.
//
// Hides the order of things (locks first) and how a report becomes text or JSON. Used by one
// thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "src/base/file_system.h"
#include "src/inspect/part.h"

namespace tidemark::inspect {

// Also the exit code.
enum class Verdict { kHealthy = 0, kDamaged = 1, kUnknown = 2 };

struct Report {
  std::string data_dir;
  bool is_in_use = false;
  std::vector<Finding> findings;  // about the directory as a whole
  std::vector<PartReport> parts;

  // Damage in a directory that is in use may be a write in progress: nothing can be said then.
  Verdict verdict() const;
};

struct InspectOptions {
  std::string data_dir;
  bool while_running = false;  // look although a process works with it
};

Report InspectDataDir(FileSystem& files, const InspectOptions& options,
                      const std::vector<std::unique_ptr<Part>>& parts);

std::string RenderText(const Report& report);
std::string RenderJson(const Report& report);

}  // namespace tidemark::inspect
