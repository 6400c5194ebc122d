// What happens to a dead server's memory on tmpfs before its next life.
//
// Bound to one thread; the server must not run.
#pragma once

#include <cstdint>
#include <random>
#include <string>

#include "absl/strings/string_view.h"

namespace tidemark::crash {

enum class MemoryFault {
  kKept,
  kWiped,    // every region removed
  kMissing,  // one region removed
  kTorn,     // bytes of one region overwritten, or its end zeroed
  kCut,      // one region's file cut short
};

// Half of all lives find everything as it was left.
MemoryFault DrawMemoryFault(std::mt19937_64& random);
void DamageMemory(const std::string& memory_directory, MemoryFault fault, std::mt19937_64& random);

// How many partitions the log says were started this way: "warm", "cold", "empty".
int64_t CountStarts(const std::string& log_path, absl::string_view way);

}  // namespace tidemark::crash
