#include "src/journal/block_frame.h"

#include <algorithm>

#include "src/base/check.h"
#include "src/base/crc32c.h"
#include "src/base/little_endian.h"

namespace tidemark::journal {
namespace {

constexpr uint32_t kSegmentMagic = 0x534A4D54;  // "TMJS"
constexpr uint32_t kBlockMagic = 0x424A4D54;    // "TMJB"
constexpr uint32_t kMarkMagic = 0x4D4A4D54;     // "TMJM"

// Every frame: magic, version, kind, fields, CRC32C of all before it.
std::string Begin(uint32_t magic, uint16_t kind) {
  std::string out;
  out.reserve(kFrameHeaderBytesMax);
  AppendLittle(&out, magic);
  AppendLittle(&out, kSegmentFormatVersion);
  AppendLittle(&out, kind);
  return out;
}

std::string Finish(std::string out, size_t size) {
  AppendLittle(&out, Crc32c(out));
  CHECK(out.size() == size);
  return out;
}

size_t FrameHeaderSize(uint32_t magic) {
  switch (magic) {
    case kSegmentMagic:
      return kSegmentHeaderBytes;
    case kBlockMagic:
      return kBlockHeaderBytes;
    case kMarkMagic:
      return kTailMarkBytes;
    default:
      return 0;
  }
}

uint64_t Mix(uint64_t hash, uint64_t word) {
  // splitmix64's finaliser: a bijection, so a chain keeps every difference that entered it.
  uint64_t z = (hash ^ word) + 0x9E3779B97F4A7C15;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

void DecodeSegment(ByteReader in, Frame* frame) {
  frame->segment.store = StoreId(in.Read<uint64_t>());
  frame->segment.capacity_bytes = in.Read<uint64_t>();
  frame->segment.first = Position(in.Read<uint64_t>());
  frame->segment.chain_before = ChainHash(in.Read<uint64_t>());
  bool sane = frame->segment.first.value() > 0 &&
              frame->segment.capacity_bytes % kBlockAlignmentBytes == 0 &&
              frame->segment.capacity_bytes >= 2 * kBlockAlignmentBytes;
  frame->kind = sane ? Frame::Kind::kSegment : Frame::Kind::kDamaged;
}

void DecodeBlock(ByteReader in, Frame* frame) {
  BlockHeader& block = frame->block;
  block.store = StoreId(in.Read<uint64_t>());
  block.first = Position(in.Read<uint64_t>());
  block.term = Term(in.Read<uint64_t>());
  block.entry_count = in.Read<uint32_t>();
  block.body_size = in.Read<uint32_t>();
  block.body_crc = in.Read<uint32_t>();
  in.Read<uint64_t>();  // reserved
  block.chain = ChainHash(in.Read<uint64_t>());
  bool sane = block.first.value() > 0 && block.entry_count > 0 && block.body_size > 0 &&
              block.first.value() + block.entry_count > block.first.value();
  frame->kind = sane ? Frame::Kind::kBlock : Frame::Kind::kDamaged;
}

void DecodeMark(ByteReader in, uint16_t kind, Frame* frame) {
  frame->mark.kind = static_cast<TailMark::Kind>(kind);
  frame->mark.store = StoreId(in.Read<uint64_t>());
  frame->mark.last = Position(in.Read<uint64_t>());
  frame->mark.chain = ChainHash(in.Read<uint64_t>());
  bool sane =
      frame->mark.kind == TailMark::Kind::kSynced || frame->mark.kind == TailMark::Kind::kSealed;
  frame->kind = sane ? Frame::Kind::kMark : Frame::Kind::kDamaged;
}

bool AllZero(absl::string_view bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](char c) { return c == 0; });
}

}  // namespace

std::string EncodeSegmentHeader(const SegmentHeader& header) {
  CHECK(header.capacity_bytes % kBlockAlignmentBytes == 0);
  std::string out = Begin(kSegmentMagic, 0);
  AppendLittle(&out, header.store.value());
  AppendLittle(&out, header.capacity_bytes);
  AppendLittle(&out, header.first.value());
  AppendLittle(&out, header.chain_before.value());
  return Finish(std::move(out), kSegmentHeaderBytes);
}

std::string EncodeBlockHeader(const BlockHeader& header) {
  CHECK(header.first.value() > 0);
  CHECK(header.entry_count > 0);
  std::string out = Begin(kBlockMagic, 0);
  AppendLittle(&out, header.store.value());
  AppendLittle(&out, header.first.value());
  AppendLittle(&out, header.term.value());
  AppendLittle(&out, header.entry_count);
  AppendLittle(&out, header.body_size);
  AppendLittle(&out, header.body_crc);
  AppendLittle(&out, uint64_t{0});
  AppendLittle(&out, header.chain.value());
  return Finish(std::move(out), kBlockHeaderBytes);
}

std::string EncodeTailMark(const TailMark& mark) {
  std::string out = Begin(kMarkMagic, static_cast<uint16_t>(mark.kind));
  AppendLittle(&out, mark.store.value());
  AppendLittle(&out, mark.last.value());
  AppendLittle(&out, mark.chain.value());
  return Finish(std::move(out), kTailMarkBytes);
}

ChainHash ExtendChain(ChainHash before, const BlockHeader& header) {
  uint64_t hash = Mix(before.value(), header.store.value());
  hash = Mix(hash, header.first.value());
  hash = Mix(hash, header.term.value());
  hash = Mix(hash, uint64_t{header.entry_count} << 32 | header.body_size);
  hash = Mix(hash, header.body_crc);
  return ChainHash(hash);
}

Frame DecodeFrame(absl::string_view bytes) {
  Frame frame;
  bytes = bytes.substr(0, kFrameHeaderBytesMax);
  if (AllZero(bytes)) {
    frame.kind = Frame::Kind::kZero;
    return frame;
  }
  ByteReader in(bytes);
  uint32_t magic = in.Read<uint32_t>();
  uint16_t version = in.Read<uint16_t>();
  uint16_t kind = in.Read<uint16_t>();
  size_t size = FrameHeaderSize(magic);
  if (in.failed() || size == 0 || bytes.size() < size) return frame;
  // The size and place of the checksum are the same in every version.
  if (LoadLittle<uint32_t>(bytes.data() + size - 4) != Crc32c(bytes.substr(0, size - 4))) {
    return frame;
  }
  if (version > kSegmentFormatVersion) {
    frame.kind = Frame::Kind::kNewer;
  } else if (version == 0) {
    return frame;  // there never was one
  } else if (magic == kSegmentMagic) {
    DecodeSegment(in, &frame);
  } else if (magic == kBlockMagic) {
    DecodeBlock(in, &frame);
  } else {
    DecodeMark(in, kind, &frame);
  }
  return frame;
}

}  // namespace tidemark::journal
