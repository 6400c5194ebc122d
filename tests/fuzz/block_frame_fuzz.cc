// Frames of segment files: what decodes is what would have been encoded.
#include "src/base/crc32c.h"
#include "src/base/little_endian.h"
#include "src/journal/block_frame.h"
#include "tests/fuzz/fuzz_target.h"

namespace tidemark::journal {
namespace {

size_t FrameSize(Frame::Kind kind) {
  if (kind == Frame::Kind::kSegment) return kSegmentHeaderBytes;
  return kind == Frame::Kind::kBlock ? kBlockHeaderBytes : kTailMarkBytes;
}

void CheckDecoded(absl::string_view bytes) {
  const Frame frame = DecodeFrame(bytes);
  std::string again;
  switch (frame.kind) {
    case Frame::Kind::kZero:
    case Frame::Kind::kNewer:
    case Frame::Kind::kDamaged:
      return;
    case Frame::Kind::kSegment:
      again = EncodeSegmentHeader(frame.segment);
      break;
    case Frame::Kind::kBlock:
      again = EncodeBlockHeader(frame.block);
      CHECK(frame.block.last() >= frame.block.first);
      break;
    case Frame::Kind::kMark:
      again = EncodeTailMark(frame.mark);
      break;
  }
  // What a later version may use is ignored: the kind of frames that have one kind, reserved words.
  std::string expected(bytes.substr(0, FrameSize(frame.kind)));
  if (frame.kind != Frame::Kind::kMark) StoreLittle(expected.data() + 6, uint16_t{0});
  if (frame.kind == Frame::Kind::kBlock) StoreLittle(expected.data() + 44, uint64_t{0});
  expected.resize(expected.size() - 4);
  CHECK(again.substr(0, again.size() - 4) == expected);
}

}  // namespace

FUZZ_TARGET(block_frame) {
  CheckDecoded(input);
  // Past the checksum, which no fuzzer guesses.
  static constexpr const char* kMagics[] = {"TMJS", "TMJB", "TMJM"};
  static constexpr size_t kSizes[] = {kSegmentHeaderBytes, kBlockHeaderBytes, kTailMarkBytes};
  for (size_t i = 0; i < 3; ++i) {
    std::string repaired = kMagics[i] + std::string(input.substr(0, kSizes[i] - 8));
    if (repaired.size() != kSizes[i] - 4) continue;
    AppendLittle(&repaired, Crc32c(repaired));
    CheckDecoded(repaired);
  }
}

}  // namespace tidemark::journal
