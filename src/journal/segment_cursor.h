// Walks the blocks of one segment file and judges each place. Decides nothing about what to do with
// damage: that depends on what lies behind (segment_recovery.h).
//
// Used by one thread at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "src/journal/block_frame.h"
#include "src/journal/log_storage.h"
#include "src/journal/segment_reader.h"

namespace tidemark::journal {

struct SegmentStep {
  enum class Kind {
    kBlock,    // verified: header, place, chain (if known), body
    kEnd,      // nothing more, and nothing wrong: zeros, or the file's end
    kMark,     // the mark that belongs here
    kDamaged,  // bytes that no checksum vouches for: torn, or rotten
    kNewer,    // a checksum vouches for a format that this program does not know
    kForeign,  // a checksum vouches for bytes that do not belong here: never the work of a crash
  };
  Kind kind = Kind::kEnd;
  uint64_t offset = 0;
  StoredBlock block;
  TailMark::Kind mark = TailMark::Kind::kSynced;
  std::string problem;  // for kDamaged and kForeign
};

class SegmentCursor {
 public:
  // Starts at `offset`, where the block with `expected` first position should be. The chain hash
  // of the block before is unknown when a reader starts in the middle of a segment.
  SegmentCursor(SegmentReader* reader, StoreId store, uint64_t offset, Position expected,
                std::optional<ChainHash> chain)
      : reader_(*reader), store_(store), offset_(offset), expected_(expected), chain_(chain) {}

  // Stays where it is after anything but a block.
  absl::StatusOr<SegmentStep> Next();

  uint64_t offset() const { return offset_; }
  Position expected() const { return expected_; }
  std::optional<ChainHash> chain() const { return chain_; }

  // The first offset at or after `offset` (and after this place's own frame) where something valid
  // of this store lies that was written at or after the expected position: proof that the block
  // expected here had been synced.
  absl::StatusOr<std::optional<uint64_t>> FindEvidence(uint64_t offset);

 private:
  absl::StatusOr<SegmentStep> JudgeBlock(const BlockHeader& header, SegmentStep step);
  SegmentStep JudgeMark(const TailMark& mark, SegmentStep step) const;

  SegmentReader& reader_;
  StoreId store_;
  uint64_t offset_;
  Position expected_;
  std::optional<ChainHash> chain_;
};

}  // namespace tidemark::journal
