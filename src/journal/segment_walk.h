// Reading a directory of segment files from end to end: every block is verified, and what is wrong
// is told apart: the torn end of the newest block, which a crash leaves and nobody was promised,
// and damage, with its file and offset. Changes nothing; a start and `tidemark inspect` share it.
//
// The rules, and why they are safe: docs/journal-format.md, "Recovery".
// Used by one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
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
  uint64_t end_offset = 0;         // where the next block goes
  uint64_t last_block_offset = 0;  // of the newest block; 0 (the header) without one
  std::vector<IndexPoint> index;
  uint64_t block_count = 0;                 // as found by the walk
  std::optional<TailMark::Kind> mark = {};  // the same

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
  // A directory without any segment is fresh; otherwise that is damage.
  bool may_be_fresh = false;
};

// Called with each block in order, with its verified content. An error stops the walk and counts as
// damage at that block.
using BlockVisitor = std::function<absl::Status(const StoredBlock&)>;

struct SegmentDamage {
  std::string path;
  uint64_t offset = 0;
  std::string problem;
  absl::Status status;  // what a start answers: DataLoss, or FailedPrecondition for newer formats
};

struct SegmentWalk {
  std::vector<Segment> segments;  // in order, up to the damage; empty for a fresh directory
  size_t file_count = 0;          // with names of segments
  Position last;
  ChainHash chain;
  bool last_is_sealed = false;
  std::optional<SegmentDamage> damage;
  // Without damage: behind the newest block (and its mark) everything is to be zeros.
  uint64_t clean_from = 0;
  // What is not, [torn_from, torn_end) of the newest segment: what is left of an unfinished write.
  uint64_t torn_from = 0;
  uint64_t torn_end = 0;

  bool is_torn() const { return torn_end > torn_from; }
};

// Errors are of the disk, never of what was read.
absl::StatusOr<SegmentWalk> WalkSegments(const RecoveryOptions& options, const BlockVisitor& visit);

// "segment-00000000000000000001.log" for first position 1.
std::string SegmentName(Position first);
// False for names of other files.
bool ParseSegmentName(const std::string& name, Position* first);

}  // namespace tidemark::journal
