#include "src/journal/segment_cursor.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "src/base/check.h"
#include "src/base/crc32c.h"

namespace tidemark::journal {
namespace {

SegmentStep Foreign(SegmentStep step, std::string problem) {
  step.kind = SegmentStep::Kind::kForeign;
  step.problem = std::move(problem);
  return step;
}

SegmentStep Damaged(SegmentStep step, std::string problem) {
  step.kind = SegmentStep::Kind::kDamaged;
  step.problem = std::move(problem);
  return step;
}

}  // namespace

absl::StatusOr<SegmentStep> SegmentCursor::Next() {
  CHECK(offset_ % kBlockAlignmentBytes == 0);
  SegmentStep step;
  step.offset = offset_;
  absl::StatusOr<SharedBytes> bytes = reader_.View(offset_, kFrameHeaderBytesMax);
  if (!bytes.ok()) return bytes.status();
  if (bytes->empty()) return step;
  Frame frame = DecodeFrame(bytes->view());
  switch (frame.kind) {
    case Frame::Kind::kZero:
      return step;
    case Frame::Kind::kBlock:
      return JudgeBlock(frame.block, std::move(step));
    case Frame::Kind::kMark:
      return JudgeMark(frame.mark, std::move(step));
    case Frame::Kind::kSegment:
      return Foreign(std::move(step), "a segment's header lies where a block should be");
    case Frame::Kind::kNewer:
      step.kind = SegmentStep::Kind::kNewer;
      step.problem = "written by a newer version of this program";
      return step;
    case Frame::Kind::kDamaged:
      return Damaged(std::move(step), "a block's header does not match its checksum");
  }
  CHECK_MSG(false, "unreachable");
}

absl::StatusOr<SegmentStep> SegmentCursor::JudgeBlock(const BlockHeader& header, SegmentStep step) {
  if (header.store != store_) {
    return Foreign(std::move(step), "a block of another journal");
  }
  if (header.first != expected_) {
    return Foreign(std::move(step), absl::StrCat("a block of position ", header.first.value(),
                                                 " lies where ", expected_.value(), " belongs"));
  }
  if (chain_.has_value() && ExtendChain(*chain_, header) != header.chain) {
    return Foreign(std::move(step), "a block that does not follow the one before it (chain hash)");
  }
  if (header.body_size > kBlockBodyBytesMax ||
      offset_ + FrameBytes(header.body_size) > reader_.file_bytes()) {
    return Foreign(std::move(step), "a block that is longer than its file");
  }
  absl::StatusOr<SharedBytes> body = reader_.View(offset_ + kBlockHeaderBytes, header.body_size);
  if (!body.ok()) return body.status();
  if (Crc32c(body->view()) != header.body_crc) {
    return Damaged(std::move(step), "a block's content does not match its checksum");
  }
  step.kind = SegmentStep::Kind::kBlock;
  step.block = {header.first, header.entry_count, header.term, *std::move(body)};
  offset_ += FrameBytes(header.body_size);
  expected_ = header.last().Next();
  chain_ = header.chain;
  return step;
}

SegmentStep SegmentCursor::JudgeMark(const TailMark& mark, SegmentStep step) const {
  if (mark.store != store_) return Foreign(std::move(step), "a mark of another journal");
  if (mark.last.Next() != expected_ || (chain_.has_value() && mark.chain != *chain_)) {
    return Foreign(std::move(step), absl::StrCat("a mark of position ", mark.last.value(),
                                                 " lies behind ", expected_.Previous().value()));
  }
  step.kind = SegmentStep::Kind::kMark;
  step.mark = mark.kind;
  return step;
}

absl::StatusOr<std::optional<uint64_t>> SegmentCursor::FindEvidence(uint64_t offset) {
  CHECK(offset % kBlockAlignmentBytes == 0);
  for (; offset < reader_.file_bytes(); offset += kBlockAlignmentBytes) {
    absl::StatusOr<SharedBytes> bytes = reader_.View(offset, kFrameHeaderBytesMax);
    if (!bytes.ok()) return bytes.status();
    Frame frame = DecodeFrame(bytes->view());
    bool later_block = frame.kind == Frame::Kind::kBlock && frame.block.store == store_ &&
                       frame.block.first > expected_;
    bool later_mark = frame.kind == Frame::Kind::kMark && frame.mark.store == store_ &&
                      frame.mark.last >= expected_;
    if (later_block || later_mark) return std::optional<uint64_t>(offset);
  }
  return std::optional<uint64_t>();
}

}  // namespace tidemark::journal
