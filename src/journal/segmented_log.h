// LogStorage in segment files: preallocated, appended to, one durable write per block.
//
// Hides files, their rotation and reservation of disk space. Used by one thread at a time.
//
// What a crash leaves, file by file: docs/journal-format.md.
//
// Invariants:
//  1. A file carries a segment's name only when its full size is reserved and its header synced.
//  2. Nothing is written behind a block before that block was synced; hence a damaged block with
//     anything valid behind it had been synced, and is damage, not a torn write.
//  3. Everything behind the newest block of the newest segment is zeros, a mark, or a block in
//     progress.
//  4. No space refuses appends, also where it was reserved (file systems that copy on write), and
//     changes nothing; what it left behind is taken away before anything else is written. Any
//     other error of a write, and every error of a sync, ends the process.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "src/base/file_system.h"
#include "src/journal/block_writer.h"
#include "src/journal/log_storage.h"
#include "src/journal/segment_walk.h"
#include "src/journal/spare_segment.h"
#include "src/journal/trimmed_segments.h"

namespace tidemark::journal {

inline constexpr uint64_t kSegmentBytesDefault = uint64_t{64} << 20;
inline constexpr uint64_t kSegmentBytesMin = 4096;
inline constexpr size_t kKeptSegmentsMaxDefault = 16;

class SegmentedLog : public LogStorage {
 public:
  struct Options {
    RecoveryOptions recovery;
    uint64_t segment_bytes = kSegmentBytesDefault;
    // For a fresh directory: the position that the first entry will have.
    Position fresh_first{1};
    // Prepare returns steps that fill the next segment with zeros.
    bool fills_ahead = true;
    // Past the page cache, where files can be written so.
    bool writes_directly = true;
    // Files of trimmed segments that are kept for those to come, beside what size_bytes() counts.
    size_t kept_segments_max = kKeptSegmentsMaxDefault;
  };

  // Takes over what a walk with these recovery options found; repairs a torn end. The error is the
  // damage, if there is any.
  static absl::StatusOr<std::unique_ptr<SegmentedLog>> Open(Options options, SegmentWalk walk);
  // The same after a walk of its own.
  static absl::StatusOr<std::unique_ptr<SegmentedLog>> Open(Options options,
                                                            const BlockVisitor& visit);

  Position first() const override { return segments_.front().first; }
  Position last() const override { return last_; }
  absl::Status Append(const LogBlock& block) override;
  void Sync() override;
  bool HasUnsynced() const override { return writer_.has_unsynced(); }
  absl::StatusOr<std::vector<StoredBlock>> Read(Position from, size_t size_bytes) override;
  bool CanTrim(Position up_to) const override;
  Removal Trim(Position up_to) override;
  Preparation Prepare() override;
  Preparation GiveSpaceBack() override;
  bool IsSettled() const override { return !mark_is_due_; }
  void Settle() override;
  uint64_t size_bytes() const override;

 private:
  explicit SegmentedLog(Options options)
      : options_(std::move(options)),
        file_system_(*options_.recovery.file_system),
        trimmed_(std::make_shared<TrimmedSegments>(file_system_, options_.recovery.directory,
                                                   options_.segment_bytes,
                                                   options_.kept_segments_max)),
        spare_(std::make_shared<SpareSegment>(file_system_, options_.recovery.directory, trimmed_,
                                              options_.writes_directly)),
        writer_(options_.writes_directly) {}

  Segment& newest() { return segments_.back(); }
  absl::Status UseWalk(SegmentWalk walk);
  absl::Status FillFirst();
  absl::Status OpenNewest();
  absl::Status RewriteNewestEnd();
  void ReserveAhead();
  absl::Status StartSegment(Position first, uint64_t capacity_bytes);
  absl::StatusOr<std::string> NameSpare(File& file, const SegmentHeader& header);
  absl::Status MakeRoom(uint64_t frame_bytes);
  BlockHeader HeaderOf(const LogBlock& block) const;
  absl::Status WriteBlock(const LogBlock& block);
  void TellOfSpace(const absl::Status& appended);
  absl::Status Refuse(absl::Status why);
  absl::Status Undo();
  void WriteMark(TailMark::Kind kind);
  absl::Status ReadSegment(const Segment& segment, Position from, size_t size_bytes,
                           size_t* found_bytes, std::vector<StoredBlock>* found);

  const Options options_;
  FileSystem& file_system_;
  std::vector<Segment> segments_;  // never empty after Open
  const std::shared_ptr<TrimmedSegments> trimmed_;
  const std::shared_ptr<SpareSegment> spare_;
  BlockWriter writer_;  // to the newest segment
  Position last_;
  ChainHash chain_;
  bool mark_is_due_ = false;    // the newest block is durable, and nothing says so yet
  bool undo_is_due_ = false;    // a refused block may still be readable at the newest end
  bool reserves_next_ = false;  // the first append of this process
  bool is_full_ = false;        // the last append was refused for want of space
};

}  // namespace tidemark::journal
