#include "src/journal/segment_walk.h"

#include <algorithm>
#include <deque>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "src/base/check.h"
#include "src/base/failpoint.h"
#include "src/base/log.h"
#include "src/journal/damage.h"
#include "src/journal/segment_cursor.h"
#include "src/journal/segment_reader.h"

namespace tidemark::journal {
namespace {

constexpr absl::string_view kPrefix = "segment-";
constexpr absl::string_view kSuffix = ".log";
constexpr size_t kDigits = 20;
constexpr size_t kPieceBytes = size_t{64} << 10;
// So many files are being read while the one before them is walked.
constexpr size_t kFilesAhead = 2;
constexpr absl::Duration kProgressInterval = absl::Seconds(2);

class Walker {
 public:
  Walker(const RecoveryOptions& options, const BlockVisitor& visit)
      : options_(options), visit_(visit) {}

  absl::StatusOr<SegmentWalk> Run() {
    absl::Status status = WalkAll();
    if (!status.ok() && !walk_.damage.has_value()) return status;
    return std::move(walk_);
  }

 private:
  struct Named {
    std::string name;
    Position first;
  };

  absl::Status WalkAll() {
    absl::Status listed = ListSegments();
    if (!listed.ok()) return listed;
    if (names_.empty() && !options_.may_be_fresh) return LostAll();
    for (size_t i = 0; i < names_.size(); ++i) {
      absl::Status scanned = ScanSegment(i);
      if (!scanned.ok()) return scanned;
    }
    if (walk_.segments.empty() || walk_.last >= options_.synced) return absl::OkStatus();
    const Segment& segment = walk_.segments.back();
    return DamageAt(segment.path, segment.end_offset,
                    absl::StrCat("the newest entry is ", walk_.last.value(), ", but ",
                                 options_.synced.value(), " had been synced"));
  }

  absl::Status Stop(const std::string& path, uint64_t offset, absl::string_view problem,
                    absl::Status status) {
    walk_.damage = SegmentDamage{path, offset, std::string(problem), status};
    return status;
  }
  absl::Status DamageAt(const std::string& path, uint64_t offset, absl::string_view problem,
                        absl::StatusCode code = absl::StatusCode::kDataLoss) {
    const absl::Status damage =
        FileDamage(path, absl::StrCat("is damaged at offset ", offset, ": ", problem));
    return Stop(path, offset, problem, absl::Status(code, damage.message()));
  }
  absl::Status NewerAt(const std::string& path, uint64_t offset) {
    constexpr absl::string_view kProblem = "written by a newer version of this program";
    return Stop(path, offset, kProblem,
                absl::FailedPreconditionError(absl::StrCat("journal file ", path, " was ", kProblem,
                                                           ", seen at offset ", offset)));
  }
  absl::Status LostAll() {
    constexpr absl::string_view kProblem = "has lost all its segment files";
    return Stop(
        options_.directory, 0, kProblem,
        absl::DataLossError(absl::StrCat("journal directory ", options_.directory, " ", kProblem)));
  }

  absl::Status ListSegments() {
    absl::StatusOr<std::vector<std::string>> names = options_.file_system->List(options_.directory);
    if (!names.ok()) return names.status();
    for (const std::string& name : *names) {
      Position first;
      if (ParseSegmentName(name, &first)) names_.push_back({name, first});
    }
    walk_.file_count = names_.size();
    std::sort(names_.begin(), names_.end(),
              [](const Named& a, const Named& b) { return a.first < b.first; });
    return absl::OkStatus();
  }

  std::string PathOf(const Named& named) const {
    return absl::StrCat(options_.directory, "/", named.name);
  }

  // Of the next file in order.
  absl::StatusOr<SegmentReader> TakeReader() {
    while (ahead_.size() <= kFilesAhead && opened_ < names_.size()) {
      ahead_.push_back(SegmentReader::Open(*options_.file_system, PathOf(names_[opened_++])));
      if (ahead_.back().ok()) ahead_.back()->ReadAhead();
    }
    absl::StatusOr<SegmentReader> reader = std::move(ahead_.front());
    ahead_.pop_front();
    return reader;
  }

  absl::Status ScanSegment(size_t index) {
    const Named& named = names_[index];
    bool is_newest = index + 1 == names_.size();
    const std::string path = PathOf(named);
    absl::StatusOr<SegmentReader> reader = TakeReader();
    if (!reader.ok()) return reader.status();
    absl::Status header = CheckHeader(named, &*reader);
    if (!header.ok()) return header;
    SegmentCursor cursor(&*reader, options_.store, kBlockAlignmentBytes, named.first, walk_.chain);
    absl::StatusOr<SegmentStep> end = WalkBlocks(&cursor, path);
    if (!end.ok()) return end.status();
    walk_.chain = *cursor.chain();
    Segment& segment = walk_.segments.back();
    segment.end_offset = cursor.offset();
    if (end->kind == SegmentStep::Kind::kMark) segment.mark = end->mark;
    walk_.last_is_sealed = segment.mark == TailMark::Kind::kSealed;
    if (is_newest) return JudgeNewestEnd(*end, &cursor, &*reader);
    // Whether it ends where the next one begins is seen there. If so, what is damaged is only the
    // mark behind the newest block: a crash may tear it while the segment is being sealed.
    end_problem_ = end->problem.empty() ? "a block is missing" : end->problem;
    return absl::OkStatus();
  }

  // A file gets its name only with a synced header and its full size: anything else is damage.
  absl::Status CheckHeader(const Named& named, SegmentReader* reader) {
    absl::StatusOr<SharedBytes> bytes = reader->View(0, kFrameHeaderBytesMax);
    if (!bytes.ok()) return bytes.status();
    Frame frame = DecodeFrame(bytes->view());
    const std::string& path = reader->path();
    if (frame.kind == Frame::Kind::kNewer) return NewerAt(path, 0);
    if (frame.kind != Frame::Kind::kSegment) return DamageAt(path, 0, "no valid segment header");
    const SegmentHeader& header = frame.segment;
    if (header.store != options_.store) return DamageAt(path, 0, "a segment of another journal");
    if (header.first != named.first) return DamageAt(path, 0, "its name and its header differ");
    if (reader->file_bytes() < header.capacity_bytes) {
      return DamageAt(path, reader->file_bytes(),
                      absl::StrCat("the file ends here, but it was made ", header.capacity_bytes,
                                   " bytes long"));
    }
    if (walk_.segments.empty() && header.first > options_.synced.Next()) {
      return DamageAt(path, 0,
                      absl::StrCat("the oldest entry is ", header.first.value(), ", but ",
                                   options_.synced.Next().value(),
                                   " and those behind it are needed: a file is missing"));
    }
    if (!walk_.segments.empty()) {
      const Segment& before = walk_.segments.back();
      if (header.first != walk_.last.Next() || header.chain_before != walk_.chain) {
        return DamageAt(before.path, before.end_offset,
                        absl::StrCat(end_problem_, "; its entries end with ", walk_.last.value(),
                                     ", but the next file, ", path, ", continues after ",
                                     header.first.Previous().value()));
      }
    }
    walk_.last = header.first.Previous();
    walk_.chain = header.chain_before;
    walk_.segments.push_back({path, header.first, header.capacity_bytes, kBlockAlignmentBytes});
    return absl::OkStatus();
  }

  // The step that ended the walk. Foreign bytes are always damage.
  absl::StatusOr<SegmentStep> WalkBlocks(SegmentCursor* cursor, const std::string& path) {
    while (true) {
      absl::StatusOr<SegmentStep> step = cursor->Next();
      if (!step.ok()) return step.status();
      if (step->kind == SegmentStep::Kind::kForeign) {
        return DamageAt(path, step->offset, step->problem);
      }
      if (step->kind == SegmentStep::Kind::kNewer) return NewerAt(path, step->offset);
      if (step->kind != SegmentStep::Kind::kBlock) return step;
      absl::Status visited = visit_(step->block);
      if (!visited.ok()) return DamageAt(path, step->offset, visited.message(), visited.code());
      Segment& segment = walk_.segments.back();
      segment.AddToIndex(step->block.first, step->offset);
      segment.last_block_offset = step->offset;
      ++segment.block_count;
      walk_.last = step->block.last();
      ReportProgress(cursor->offset() - step->offset);
    }
  }

  absl::Status JudgeNewestEnd(const SegmentStep& end, SegmentCursor* cursor,
                              SegmentReader* reader) {
    if (walk_.last_is_sealed) {
      return DamageAt(reader->path(), end.offset,
                      "it was completed after the next file had been made, and that is missing");
    }
    bool is_damaged = end.kind == SegmentStep::Kind::kDamaged;
    absl::StatusOr<std::optional<uint64_t>> evidence =
        cursor->FindEvidence(end.offset + kBlockAlignmentBytes);
    if (!evidence.ok()) return evidence.status();
    if (evidence->has_value() && !PLANTED_BUG("journal_torn_tail_hides_corruption")) {
      return DamageAt(
          reader->path(), end.offset,
          absl::StrCat(is_damaged ? end.problem : "a block is missing",
                       ", but what was written later is there, at offset ", **evidence));
    }
    // A mark stays; the torn bytes of an unfinished block may lie behind it.
    walk_.clean_from = end.offset;
    if (end.kind == SegmentStep::Kind::kMark) walk_.clean_from += kBlockAlignmentBytes;
    return MeasureTornEnd(reader);
  }

  absl::Status MeasureTornEnd(SegmentReader* reader) {
    uint64_t offset = walk_.clean_from;
    while (offset < reader->file_bytes()) {
      absl::StatusOr<SharedBytes> piece = reader->View(offset, kPieceBytes);
      if (!piece.ok()) return piece.status();
      const absl::string_view bytes = piece->view();
      const size_t first = bytes.find_first_not_of('\0');
      if (first != absl::string_view::npos) {
        if (!walk_.is_torn()) walk_.torn_from = offset + first;
        walk_.torn_end = offset + bytes.find_last_not_of('\0') + 1;
      }
      offset += bytes.size();
    }
    return absl::OkStatus();
  }

  void ReportProgress(uint64_t bytes) {
    read_bytes_ += bytes;
    // A look at the clock per MiB is enough.
    if (read_bytes_ < next_look_bytes_) return;
    next_look_bytes_ = read_bytes_ + (uint64_t{1} << 20);
    absl::Duration now = options_.clock->Monotonic();
    if (!reported_at_.has_value()) reported_at_ = now;
    if (now - *reported_at_ < kProgressInterval) return;
    reported_at_ = now;
    TLOG(kInfo, "reading the journal",
         {{"read-bytes", read_bytes_},
          {"position", walk_.last.value()},
          {"file", walk_.segments.back().path},
          {"files", names_.size()}});
  }

  const RecoveryOptions& options_;
  const BlockVisitor& visit_;
  std::vector<Named> names_;
  size_t opened_ = 0;  // of them
  std::deque<absl::StatusOr<SegmentReader>> ahead_;
  SegmentWalk walk_;
  std::string end_problem_;  // why the walk through the segment before ended
  uint64_t read_bytes_ = 0;
  uint64_t next_look_bytes_ = 0;
  std::optional<absl::Duration> reported_at_;
};

}  // namespace

void Segment::AddToIndex(Position block_first, uint64_t offset) {
  CHECK(index.empty() || block_first > index.back().first);
  if (index.empty() || offset - index.back().offset >= kIndexStepBytes) {
    index.push_back({block_first, offset});
  }
}

std::string SegmentName(Position first) {
  return absl::StrFormat("%s%020d%s", kPrefix, first.value(), kSuffix);
}

bool ParseSegmentName(const std::string& name, Position* first) {
  uint64_t value = 0;
  if (name.size() != kPrefix.size() + kDigits + kSuffix.size()) return false;
  if (!absl::StartsWith(name, kPrefix) || !absl::EndsWith(name, kSuffix)) return false;
  if (!absl::SimpleAtoi(absl::string_view(name).substr(kPrefix.size(), kDigits), &value)) {
    return false;
  }
  *first = Position(value);
  return SegmentName(*first) == name;
}

absl::StatusOr<SegmentWalk> WalkSegments(const RecoveryOptions& options,
                                         const BlockVisitor& visit) {
  return Walker(options, visit).Run();
}

}  // namespace tidemark::journal
