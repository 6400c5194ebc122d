// Where a server keeps its store's memory.
//
// Pure but for resolving the data directory's path.
#pragma once

#include <string>

namespace tidemark::server {

// `memory_dir` is --memory-dir. Without it: one directory per data directory, wherever the process
// was started from.
std::string MemoryDirOf(const std::string& data_dir, const std::string& memory_dir);

}  // namespace tidemark::server
