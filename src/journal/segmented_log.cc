#include "src/journal/segmented_log.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "src/base/check.h"
#include "src/base/crc32c.h"
#include "src/base/failpoint.h"
#include "src/base/log.h"
#include "src/journal/disk_errors.h"
#include "src/journal/segment_cursor.h"
#include "src/journal/segment_reader.h"
#include "src/journal/segment_recovery.h"

namespace tidemark::journal {
namespace {

// A mark behind the newest block must always fit.
constexpr uint64_t kMarkRoomBytes = kBlockAlignmentBytes;
static_assert(kBlockAlignmentBytes % kSectorBytes == 0, "blocks are written directly");

}  // namespace

absl::StatusOr<std::unique_ptr<SegmentedLog>> SegmentedLog::Open(Options options,
                                                                 const BlockVisitor& visit) {
  absl::StatusOr<SegmentWalk> walk = WalkSegments(options.recovery, visit);
  if (!walk.ok()) return walk.status();
  return Open(std::move(options), *std::move(walk));
}

absl::StatusOr<std::unique_ptr<SegmentedLog>> SegmentedLog::Open(Options options,
                                                                 SegmentWalk walk) {
  if (options.segment_bytes < kSegmentBytesMin) {
    return absl::InvalidArgumentError(absl::StrCat("journal segments of ", options.segment_bytes,
                                                   " bytes are smaller than ", kSegmentBytesMin));
  }
  if (walk.damage.has_value()) return walk.damage->status;
  options.segment_bytes = AlignUp(options.segment_bytes);
  std::unique_ptr<SegmentedLog> log(new SegmentedLog(std::move(options)));
  absl::Status repaired = RepairTornEnd(log->file_system_, walk);
  if (!repaired.ok()) return repaired;
  absl::Status used = log->UseWalk(std::move(walk));
  if (!used.ok()) return used;
  return log;
}

absl::Status SegmentedLog::UseWalk(SegmentWalk walk) {
  absl::Status removed = spare_->Remove();
  if (!removed.ok()) return removed;
  if (walk.segments.empty()) {
    CHECK(options_.recovery.may_be_fresh);
    last_ = options_.fresh_first.Previous();
    absl::Status filled = FillFirst();
    return filled.ok() ? StartSegment(options_.fresh_first, options_.segment_bytes) : filled;
  }
  segments_ = std::move(walk.segments);
  last_ = walk.last;
  chain_ = walk.chain;
  return OpenNewest();
}

// Once for a directory, which is then from its first write on what it is later.
absl::Status SegmentedLog::FillFirst() {
  absl::Status reserved = spare_->Reserve(options_.segment_bytes);
  if (!reserved.ok() || !options_.fills_ahead) return reserved;
  while (Preparation step = spare_->NextFill(options_.segment_bytes)) step();
  return absl::OkStatus();
}

absl::Status SegmentedLog::OpenNewest() {
  absl::StatusOr<std::unique_ptr<File>> file =
      file_system_.Open(newest().path, OpenMode::kReadWrite);
  if (!file.ok()) return file.status();
  writer_.Use(*std::move(file));
  // After kill -9 blocks and names are there that no sync ever covered; from now on they count as
  // durable.
  if (PLANTED_BUG("journal_recovery_without_sync")) return absl::OkStatus();
  absl::Status rewritten = RewriteNewestEnd();
  if (!rewritten.ok()) return rewritten;
  absl::Status synced = file_system_.SyncDirectory(options_.recovery.directory);
  if (!synced.ok()) return synced;
  mark_is_due_ = true;
  Settle();
  reserves_next_ = true;
  return absl::OkStatus();
}

// After a sync that failed (and ended the process) the page cache may show a block that the disk
// does not have, marked clean, so that no later sync would write it (Rebello et al., ATC 2020).
// Only the newest block can be such (invariant 2); writing it again makes its pages dirty.
absl::Status SegmentedLog::RewriteNewestEnd() {
  const uint64_t begin = newest().last_block_offset;
  const uint64_t end = newest().end_offset + kBlockAlignmentBytes;  // a mark may follow
  absl::StatusOr<std::string> bytes = writer_.Read(begin, end - begin);
  if (!bytes.ok()) return bytes.status();
  return writer_.Rewrite(begin, *bytes);
}

absl::Status SegmentedLog::StartSegment(Position first, uint64_t capacity_bytes) {
  CHECK(!HasUnsynced());
  CHECK(first == last_.Next());
  absl::Status reserved = spare_->Reserve(capacity_bytes);
  if (!reserved.ok()) return reserved;
  FAIL_POINT("journal.before_segment_create");
  const uint64_t size_bytes = spare_->size_bytes();
  std::shared_ptr<File> file = spare_->Take();
  absl::StatusOr<std::string> path =
      NameSpare(*file, {options_.recovery.store, size_bytes, first, chain_});
  if (!path.ok()) {
    spare_->PutBack(std::move(file), size_bytes);
    return path.status();
  }
  FAIL_POINT("journal.after_segment_create");
  // Nothing was ever written to one that begins where this does: it took its name, and its place.
  const bool replaces_newest = !segments_.empty() && newest().first == first;
  if (replaces_newest) {
    segments_.pop_back();
  } else if (!segments_.empty()) {
    // From now on a directory without the new file is a damaged one.
    WriteMark(TailMark::Kind::kSealed);
  }
  segments_.push_back({*std::move(path), first, size_bytes, kBlockAlignmentBytes});
  writer_.Use(std::move(file));
  ReserveAhead();
  return absl::OkStatus();
}

// Ahead of need, so that a full disk is met between blocks and while there is still room.
void SegmentedLog::ReserveAhead() {
  absl::Status reserved = spare_->Reserve(options_.segment_bytes);
  if (reserved.ok()) return;
  TLOG(kWarn, "no space for the next journal segment yet",
       {{"directory", options_.recovery.directory}, {"error", reserved.message()}});
}

// From here on a start finds it as a segment. Its path.
absl::StatusOr<std::string> SegmentedLog::NameSpare(File& file, const SegmentHeader& header) {
  absl::Status written = file.WriteAt(0, {absl::string_view(EncodeSegmentHeader(header))});
  if (!written.ok()) return written;
  MustSucceed(file.SyncData());
  const std::string& directory = options_.recovery.directory;
  std::string path = absl::StrCat(directory, "/", SegmentName(header.first));
  absl::Status renamed = file_system_.Rename(spare_->path(), path);
  if (!renamed.ok()) return renamed;
  MustSucceed(file_system_.SyncDirectory(directory));
  return path;
}

absl::Status SegmentedLog::MakeRoom(uint64_t frame_bytes) {
  if (newest().end_offset + frame_bytes + kMarkRoomBytes <= newest().capacity_bytes) {
    return absl::OkStatus();
  }
  uint64_t needed = kBlockAlignmentBytes + frame_bytes + kMarkRoomBytes;
  return OnlyNoSpace(StartSegment(last_.Next(), std::max(needed, options_.segment_bytes)));
}

absl::Status SegmentedLog::Append(const LogBlock& block) {
  absl::Status written = WriteBlock(block);
  TellOfSpace(written);
  return written;
}

// Once when it begins and once when it ends: every write meets a full disk.
void SegmentedLog::TellOfSpace(const absl::Status& appended) {
  if (is_full_ != appended.ok()) return;
  is_full_ = !appended.ok();
  const std::string& directory = options_.recovery.directory;
  if (is_full_) {
    TLOG(kWarn, "the journal's disk is full: writes are refused until there is space",
         {{"directory", directory}, {"error", appended.message()}});
  } else {
    TLOG(kInfo, "the journal's disk has space again", {{"directory", directory}});
  }
}

BlockHeader SegmentedLog::HeaderOf(const LogBlock& block) const {
  BlockHeader header{options_.recovery.store, block.first, block.term, block.entry_count, 0, 0, {}};
  uint64_t body_bytes = 0;
  for (absl::string_view run : block.body) {
    header.body_crc = ExtendCrc32c(header.body_crc, run);
    body_bytes += run.size();
  }
  CHECK(body_bytes > 0 && body_bytes <= kBlockBodyBytesMax);
  header.body_size = static_cast<uint32_t>(body_bytes);
  header.chain = ExtendChain(chain_, header);
  return header;
}

absl::Status SegmentedLog::WriteBlock(const LogBlock& block) {
  CHECK(block.first == last_.Next());
  CHECK(block.entry_count > 0);
  CHECK(!HasUnsynced());
  const BlockHeader header = HeaderOf(block);
  const uint64_t frame_bytes = FrameBytes(header.body_size);
  if (undo_is_due_) {
    absl::Status undone = Undo();
    if (!undone.ok()) return undone;
  }
  absl::Status room = MakeRoom(frame_bytes);
  if (!room.ok()) return room;

  const std::string encoded = EncodeBlockHeader(header);
  std::vector<absl::string_view> runs;
  runs.reserve(block.body.size() + 1);
  runs.push_back(encoded);
  runs.insert(runs.end(), block.body.begin(), block.body.end());
  FAIL_POINT("journal.before_write");
  mark_is_due_ = false;  // its place is about to be taken
  absl::Status written = writer_.Write(newest().end_offset, runs, Durability::kDurable);
  if (!written.ok()) return Refuse(written);
  FAIL_POINT("journal.after_write");
  newest().AddToIndex(block.first, newest().end_offset);
  newest().end_offset += frame_bytes;
  CHECK(newest().end_offset + kMarkRoomBytes <= newest().capacity_bytes);
  last_ = block.last();
  chain_ = header.chain;
  mark_is_due_ = true;
  // A start itself takes no space: on a full disk it needs what the spare had for smaller files.
  if (std::exchange(reserves_next_, false)) ReserveAhead();
  return absl::OkStatus();
}

// Unknown when what was written could not be taken away.
absl::Status SegmentedLog::Refuse(absl::Status why) {
  if (PLANTED_BUG("journal_refused_block_stays")) return why;
  undo_is_due_ = true;
  absl::Status undone = Undo();
  if (undone.ok() || PLANTED_BUG("journal_unknown_is_refused")) return why;
  return absl::UnknownError(undone.message());
}

// Durably takes away the header that a refused write may have left; a body without one is nothing.
absl::Status SegmentedLog::Undo() {
  CHECK(undo_is_due_ && !HasUnsynced());
  const std::string zeros(kBlockAlignmentBytes, '\0');
  absl::Status written = writer_.Rewrite(newest().end_offset, zeros);
  if (!written.ok()) return written;
  undo_is_due_ = false;
  // The block before it lost its mark, and may be the newest for long.
  mark_is_due_ = true;
  Settle();
  return absl::OkStatus();
}

void SegmentedLog::Sync() {
  writer_.Sync();
  // Through the page cache it costs nothing: the next block overwrites it there.
  if (!writer_.HintsAreCostly()) Settle();
}

void SegmentedLog::Settle() {
  if (PLANTED_BUG("journal_never_settles")) return;
  if (HasUnsynced() || !std::exchange(mark_is_due_, false)) return;
  if (!newest().index.empty()) WriteMark(TailMark::Kind::kSynced);
}

void SegmentedLog::WriteMark(TailMark::Kind kind) {
  CHECK(!HasUnsynced());
  const std::string mark = EncodeTailMark({kind, options_.recovery.store, last_, chain_});
  // Without it, damage of one block is harder to tell; nothing else depends on it.
  const bool is_last = kind == TailMark::Kind::kSealed;
  absl::Status written = is_last ? writer_.Rewrite(newest().end_offset, mark)
                                 : writer_.WriteHint(newest().end_offset, mark);
  if (!written.ok()) TLOG(kWarn, "journal mark not written", {{"error", written.message()}});
}

absl::StatusOr<std::vector<StoredBlock>> SegmentedLog::Read(Position from, size_t size_bytes) {
  if (from < first() || from > last_.Next()) {
    return absl::OutOfRangeError(absl::StrCat("position ", from.value(), " is not between ",
                                              first().value(), " and ", last_.value()));
  }
  std::vector<StoredBlock> found;
  size_t found_bytes = 0;
  auto after = std::upper_bound(segments_.begin(), segments_.end(), from,
                                [](Position p, const Segment& s) { return p < s.first; });
  for (auto it = std::prev(after); it != segments_.end(); ++it) {
    if (!found.empty() && found_bytes >= size_bytes) break;
    absl::Status read = ReadSegment(*it, from, size_bytes, &found_bytes, &found);
    if (!read.ok()) return read;
  }
  CHECK(found.empty() == (from == last_.Next()));
  return found;
}

absl::Status SegmentedLog::ReadSegment(const Segment& segment, Position from, size_t size_bytes,
                                       size_t* found_bytes, std::vector<StoredBlock>* found) {
  absl::StatusOr<SegmentReader> reader = SegmentReader::Open(file_system_, segment.path);
  if (!reader.ok()) return reader.status();
  auto after = std::upper_bound(segment.index.begin(), segment.index.end(), from,
                                [](Position p, const IndexPoint& i) { return p < i.first; });
  if (segment.index.empty()) return absl::OkStatus();
  const IndexPoint& start = after == segment.index.begin() ? segment.index.front() : after[-1];
  SegmentCursor cursor(&*reader, options_.recovery.store, start.offset, start.first, std::nullopt);
  while (cursor.offset() < segment.end_offset) {
    if (!found->empty() && *found_bytes >= size_bytes) return absl::OkStatus();
    absl::StatusOr<SegmentStep> step = cursor.Next();
    if (!step.ok()) return step.status();
    if (step->kind != SegmentStep::Kind::kBlock) {
      return absl::DataLossError(
          absl::StrCat("journal file ", segment.path, " is damaged at offset ", step->offset, ": ",
                       step->problem.empty() ? "a block is missing" : step->problem));
    }
    if (step->block.last() < from) continue;
    *found_bytes += step->block.body.size();
    found->push_back(std::move(step->block));
  }
  return absl::OkStatus();
}

bool SegmentedLog::CanTrim(Position up_to) const {
  return segments_.size() > 1 && segments_[1].first.Previous() <= up_to;
}

LogStorage::Removal SegmentedLog::Trim(Position up_to) {
  while (CanTrim(up_to)) {
    trimmed_->Add(segments_.front().path, segments_.front().capacity_bytes);
    segments_.erase(segments_.begin());
  }
  return [trimmed = trimmed_] { return trimmed->TakeAway(); };
}

LogStorage::Preparation SegmentedLog::GiveSpaceBack() {
  return [trimmed = trimmed_] { trimmed->RemoveKept(); };
}

// The next segment is filled as the newest one is used, and a quarter faster: it is whole in time,
// and an idle journal writes nothing.
LogStorage::Preparation SegmentedLog::Prepare() {
  if (!options_.fills_ahead) return nullptr;
  return spare_->NextFill(newest().end_offset / 4 * 5);
}

uint64_t SegmentedLog::size_bytes() const {
  uint64_t size = spare_->size_bytes();
  for (const Segment& segment : segments_) size += segment.capacity_bytes;
  return size;
}

}  // namespace tidemark::journal
