#include "src/journal/segment_recovery.h"

#include <algorithm>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "src/base/check.h"
#include "src/base/failpoint.h"
#include "src/base/log.h"
#include "src/journal/segment_cursor.h"
#include "src/journal/segment_reader.h"

namespace tidemark::journal {
namespace {

constexpr absl::string_view kPrefix = "segment-";
constexpr absl::string_view kSuffix = ".log";
constexpr size_t kDigits = 20;
constexpr size_t kZeroPieceBytes = size_t{64} << 10;
constexpr absl::Duration kProgressInterval = absl::Seconds(2);

absl::Status DamageAt(const std::string& path, uint64_t offset, absl::string_view problem) {
  return absl::DataLossError(
      absl::StrCat("journal file ", path, " is damaged at offset ", offset, ": ", problem,
                   ". Nothing was changed. Restore this directory from a copy of the disk"));
}

class Recovery {
 public:
  Recovery(const RecoveryOptions& options, const BlockVisitor& visit)
      : options_(options), visit_(visit) {}

  absl::StatusOr<RecoveredLog> Run() {
    absl::Status listed = ListSegments();
    if (!listed.ok()) return listed;
    for (size_t i = 0; i < names_.size(); ++i) {
      absl::Status scanned = ScanSegment(i);
      if (!scanned.ok()) return scanned;
    }
    if (!log_.segments.empty() && log_.last < options_.synced) {
      const Segment& segment = log_.segments.back();
      return DamageAt(segment.path, segment.end_offset,
                      absl::StrCat("the newest entry is ", log_.last.value(), ", but ",
                                   options_.synced.value(), " had been synced"));
    }
    return std::move(log_);
  }

 private:
  struct Named {
    std::string name;
    Position first;
  };

  absl::Status ListSegments() {
    absl::StatusOr<std::vector<std::string>> names = options_.file_system->List(options_.directory);
    if (!names.ok()) return names.status();
    for (const std::string& name : *names) {
      Position first;
      if (ParseSegmentName(name, &first)) names_.push_back({name, first});
    }
    std::sort(names_.begin(), names_.end(),
              [](const Named& a, const Named& b) { return a.first < b.first; });
    return absl::OkStatus();
  }

  absl::Status ScanSegment(size_t index) {
    const Named& named = names_[index];
    bool is_newest = index + 1 == names_.size();
    std::string path = absl::StrCat(options_.directory, "/", named.name);
    absl::StatusOr<SegmentReader> reader = SegmentReader::Open(*options_.file_system, path);
    if (!reader.ok()) return reader.status();
    absl::Status header = CheckHeader(named, &*reader);
    if (!header.ok()) return header;
    SegmentCursor cursor(&*reader, options_.store, kBlockAlignmentBytes, named.first, log_.chain);
    absl::StatusOr<SegmentStep> end = WalkBlocks(&cursor, path);
    if (!end.ok()) return end.status();
    log_.chain = *cursor.chain();
    log_.segments.back().end_offset = cursor.offset();
    log_.last_is_sealed =
        end->kind == SegmentStep::Kind::kMark && end->mark == TailMark::Kind::kSealed;
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
    if (frame.kind == Frame::Kind::kNewer) {
      return absl::FailedPreconditionError(
          absl::StrCat("journal file ", path, " was written by a newer version of this program"));
    }
    if (frame.kind != Frame::Kind::kSegment) return DamageAt(path, 0, "no valid segment header");
    const SegmentHeader& header = frame.segment;
    if (header.store != options_.store) return DamageAt(path, 0, "a segment of another journal");
    if (header.first != named.first) return DamageAt(path, 0, "its name and its header differ");
    if (reader->file_bytes() < header.capacity_bytes) {
      return DamageAt(path, reader->file_bytes(),
                      absl::StrCat("the file ends here, but it was made ", header.capacity_bytes,
                                   " bytes long"));
    }
    if (log_.segments.empty() && header.first > options_.synced.Next()) {
      return DamageAt(path, 0,
                      absl::StrCat("the oldest entry is ", header.first.value(), ", but ",
                                   options_.synced.Next().value(),
                                   " and those behind it are needed: a file is missing"));
    }
    if (!log_.segments.empty()) {
      const Segment& before = log_.segments.back();
      if (header.first != log_.last.Next() || header.chain_before != log_.chain) {
        return DamageAt(before.path, before.end_offset,
                        absl::StrCat(end_problem_, "; its entries end with ", log_.last.value(),
                                     ", but the next file, ", path, ", continues after ",
                                     header.first.Previous().value()));
      }
    }
    log_.last = header.first.Previous();
    log_.chain = header.chain_before;
    log_.segments.push_back({path, header.first, header.capacity_bytes, kBlockAlignmentBytes, {}});
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
      if (step->kind != SegmentStep::Kind::kBlock) return step;
      absl::Status visited = visit_(step->block);
      if (!visited.ok()) {
        return absl::Status(visited.code(), absl::StrCat("journal file ", path, " at offset ",
                                                         step->offset, ": ", visited.message()));
      }
      log_.segments.back().AddToIndex(step->block.first, step->offset);
      log_.segments.back().last_block_offset = step->offset;
      log_.last = step->block.last();
      ReportProgress(cursor->offset() - step->offset);
    }
  }

  absl::Status JudgeNewestEnd(const SegmentStep& end, SegmentCursor* cursor,
                              SegmentReader* reader) {
    if (log_.last_is_sealed) {
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
    if (log_.last < options_.synced) return absl::OkStatus();  // refused by Run, nothing changed
    // A mark stays; the torn bytes of an unfinished block may lie behind it.
    uint64_t clean_from = end.offset;
    if (end.kind == SegmentStep::Kind::kMark) clean_from += kBlockAlignmentBytes;
    absl::StatusOr<uint64_t> cut = ZeroFrom(clean_from, reader);
    if (!cut.ok()) return cut.status();
    if (*cut > 0) {
      TLOG(kWarn, "cut off an unfinished write at the end of the journal",
           {{"file", reader->path()},
            {"offset", clean_from},
            {"zeroed-bytes", *cut},
            {"last-position", log_.last.value()}});
    }
    return absl::OkStatus();
  }

  // Makes the rest of the file zeros, durably. Returns how many bytes were rewritten.
  absl::StatusOr<uint64_t> ZeroFrom(uint64_t offset, SegmentReader* reader) {
    std::unique_ptr<File> file;
    const std::string zeros(kZeroPieceBytes, '\0');
    uint64_t zeroed = 0;
    while (offset < reader->file_bytes()) {
      absl::StatusOr<SharedBytes> piece = reader->View(offset, kZeroPieceBytes);
      if (!piece.ok()) return piece.status();
      absl::string_view clean = absl::string_view(zeros).substr(0, piece->size());
      if (piece->view() != clean) {
        if (file == nullptr) {
          auto opened = options_.file_system->Open(reader->path(), OpenMode::kReadWrite);
          if (!opened.ok()) return opened.status();
          file = *std::move(opened);
        }
        absl::Status written = file->WriteAt(offset, {clean});
        if (!written.ok()) return written;
        zeroed += piece->size();
      }
      offset += piece->size();
    }
    if (file != nullptr) {
      absl::Status synced = file->SyncData();
      if (!synced.ok()) Fatal(absl::StrCat("journal: ", synced.message()));
    }
    return zeroed;
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
          {"position", log_.last.value()},
          {"file", log_.segments.back().path},
          {"files", names_.size()}});
  }

  const RecoveryOptions& options_;
  const BlockVisitor& visit_;
  std::vector<Named> names_;
  RecoveredLog log_;
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

absl::StatusOr<RecoveredLog> RecoverSegments(const RecoveryOptions& options,
                                             const BlockVisitor& visit) {
  return Recovery(options, visit).Run();
}

}  // namespace tidemark::journal
