// What lies at every 512-byte border of a segment file: the segment's header, a block's header, or
// the mark behind the newest block (docs/journal-format.md).
//
// Pure functions over bytes; input is hostile. A decoded value passed its checksum.
//
// Invariants:
//  1. chain(block) = mix(chain(previous block), every other header field), and the header carries
//     the body's CRC: a block that moved, or came from another history, does not fit its place.
//  2. A mark is written only after the block before it was synced.
#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "src/base/ids.h"

namespace tidemark::journal {

// Random, made once per journal directory; keeps files of two stores apart.
using StoreId = StrongId<struct StoreIdTag, uint64_t>;
using ChainHash = StrongId<struct ChainHashTag, uint64_t>;

// Blocks start at multiples of this, so writing one never rewrites a disk sector of an older one.
inline constexpr uint64_t kBlockAlignmentBytes = 512;
inline constexpr uint16_t kSegmentFormatVersion = 1;
inline constexpr size_t kSegmentHeaderBytes = 44;
inline constexpr size_t kBlockHeaderBytes = 64;
inline constexpr size_t kTailMarkBytes = 36;
// The largest frame header; what has to be read to decode any of them.
inline constexpr size_t kFrameHeaderBytesMax = kBlockHeaderBytes;

constexpr uint64_t AlignUp(uint64_t bytes) {
  return (bytes + kBlockAlignmentBytes - 1) / kBlockAlignmentBytes * kBlockAlignmentBytes;
}
// Room that a block of `body_size` bytes takes in a segment.
constexpr uint64_t FrameBytes(uint64_t body_size) { return AlignUp(kBlockHeaderBytes + body_size); }

struct SegmentHeader {
  StoreId store;
  uint64_t capacity_bytes = 0;  // of the file, reserved before it got its name
  Position first;               // of the first entry that it will hold
  ChainHash chain_before;       // of the last block before it
};

struct BlockHeader {
  StoreId store;
  Position first;
  Term term;
  uint32_t entry_count = 0;
  uint32_t body_size = 0;
  uint32_t body_crc = 0;
  ChainHash chain;

  Position last() const { return Position(first.value() + entry_count - 1); }
};

struct TailMark {
  enum class Kind : uint16_t {
    kSynced = 1,  // the block before it was synced
    kSealed = 2,  // and the next segment exists
  };
  Kind kind = Kind::kSynced;
  StoreId store;
  Position last;
  ChainHash chain;
};

std::string EncodeSegmentHeader(const SegmentHeader& header);
std::string EncodeBlockHeader(const BlockHeader& header);
std::string EncodeTailMark(const TailMark& mark);

// header.chain is ignored.
ChainHash ExtendChain(ChainHash before, const BlockHeader& header);

struct Frame {
  enum class Kind {
    kZero,  // nothing was ever written here
    kSegment,
    kBlock,
    kMark,
    kNewer,  // ours, of a format version that this program does not know
    kDamaged,
  };
  Kind kind = Kind::kDamaged;
  SegmentHeader segment;
  BlockHeader block;
  TailMark mark;
};

// Decodes what starts at `bytes`; a shorter view than kFrameHeaderBytesMax is fine at a file's end.
Frame DecodeFrame(absl::string_view bytes);

}  // namespace tidemark::journal
