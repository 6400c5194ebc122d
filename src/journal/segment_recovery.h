// What a start does about the torn end of a journal that the walk found: the rest of the newest
// segment becomes zeros, durably. Damage is never touched.
//
// Used by one thread.
#pragma once

#include "absl/status/status.h"
#include "src/base/file_system.h"
#include "src/journal/segment_walk.h"

namespace tidemark::journal {

// REQUIRES a walk without damage. A failed sync ends the process.
absl::Status RepairTornEnd(FileSystem& file_system, const SegmentWalk& walk);

}  // namespace tidemark::journal
