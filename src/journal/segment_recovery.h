// Opening a directory of segment files: every block is read and verified, and what is wrong is told
// apart: the torn end of the newest block, which a crash leaves and nobody was promised, is cut
// off; everything else is damage and refused, with the file and the offset.
//
// The rules, and why they are safe: docs/journal-format.md, "Recovery".
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "src/base/clock.h"
#include "src/base/file_system.h"
#include "src/journal/block_frame.h"
#include "src/journal/log_storage.h"

namespace tidemark::journal {

// Where to start reading for a position: one point per so many bytes, not per block.
inline constexpr uint64_t kIndexStepBytes = uint64_t{256} << 10;
struct IndexPoint {
  Position first;
  uint64_t offset = 0;
};

struct Segment {
  std::string path;
  Position first;
  uint64_t capacity_bytes = 0;
  uint64_t end_offset = 0;  // where the next block goes
  uint64_t last_block_offset = 0;  // of the newest block; 0 (the header) without one
  std::vector<IndexPoint> index;

  // Called for each block in order.
  void AddToIndex(Position block_first, uint64_t offset);
};

struct RecoveryOptions {
  FileSystem* file_system = nullptr;
  const Clock* clock = nullptr;
  std::string directory;
  StoreId store;
  // The newest position that is known, from elsewhere, to have been synced; entries up to here may
  // have been trimmed, later ones not.
  Position synced;
};

// Called with each block in order, with its verified content. An error stops the recovery.
using BlockVisitor = std::function<absl::Status(const StoredBlock&)>;

struct RecoveredLog {
  std::vector<Segment> segments;  // in order; empty for a fresh directory
  Position last;
  ChainHash chain;
  bool last_is_sealed = false;
};

absl::StatusOr<RecoveredLog> RecoverSegments(const RecoveryOptions& options,
                                             const BlockVisitor& visit);

// "segment-00000000000000000001.log" for first position 1.
std::string SegmentName(Position first);
// False for names of other files.
bool ParseSegmentName(const std::string& name, Position* first);

}  // namespace tidemark::journal
