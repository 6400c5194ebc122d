#include "src/server/http2/huffman.h"

#include <array>
#include <cstddef>
#include <cstdint>

#include "src/base/failpoint.h"

namespace tidemark::server::http2 {
namespace {

constexpr int kSymbols = 257;
constexpr int kEndOfString = 256;
constexpr int kLongestBits = 30;

// How long each symbol's code is. That is all of appendix B: its codes are in the order of their
// lengths, and of their symbols where those are equal.
constexpr std::array<uint8_t, kSymbols> kBits = {
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,  //
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,  //
    6,  10, 10, 12, 13, 6,  8,  11, 10, 10, 8,  11, 8,  6,  6,  6,   //
    5,  5,  5,  6,  6,  6,  6,  6,  6,  6,  7,  8,  15, 6,  12, 10,  //
    13, 6,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,   //
    7,  7,  7,  7,  7,  7,  7,  7,  8,  7,  8,  13, 19, 13, 14, 6,   //
    15, 5,  6,  5,  6,  5,  6,  6,  6,  5,  7,  7,  6,  6,  6,  5,   //
    6,  7,  6,  5,  5,  6,  7,  7,  7,  7,  7,  15, 11, 14, 13, 28,  //
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,  //
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,  //
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,  //
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,  //
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,  //
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,  //
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,  //
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,  //
    30};

// Codes of up to so many bits, which is nearly all text, are found in one step.
constexpr int kShortBits = 10;

struct Code {
  // Of each length, the first code, the first place in `symbols`, and how many there are.
  std::array<uint32_t, kLongestBits + 1> first_code{};
  std::array<uint32_t, kLongestBits + 1> first_place{};
  std::array<uint32_t, kLongestBits + 1> count{};
  std::array<uint16_t, kSymbols> symbols{};  // in the order of their codes

  struct Short {
    uint8_t symbol = 0;
    uint8_t bits = 0;  // zero: a longer one
  };
  std::array<Short, 1 << kShortBits> short_codes{};
};

constexpr Code MakeCode() {
  Code code;
  uint32_t next_code = 0;
  uint32_t place = 0;
  for (int bits = 1; bits <= kLongestBits; ++bits) {
    next_code <<= 1;
    code.first_code[bits] = next_code;
    code.first_place[bits] = place;
    for (int symbol = 0; symbol < kSymbols; ++symbol) {
      if (kBits[symbol] != bits) continue;
      code.symbols[place++] = static_cast<uint16_t>(symbol);
      if (bits <= kShortBits) {
        const int rest = kShortBits - bits;
        for (uint32_t tail = 0; tail < (1u << rest); ++tail) {
          code.short_codes[next_code << rest | tail] = {static_cast<uint8_t>(symbol),
                                                        static_cast<uint8_t>(bits)};
        }
      }
      ++next_code;
      ++code.count[bits];
    }
  }
  return code;
}

constexpr Code kCode = MakeCode();

// Bytes as bits, the highest first; behind their end as many ones as anybody asks for.
class BitReader {
 public:
  explicit BitReader(absl::string_view bytes) : bytes_(bytes) {}

  // Afterwards the longest code is there, or all that is left.
  void Fill() {
    while (held_ <= 56 && next_ < bytes_.size()) {
      bits_ = bits_ << 8 | static_cast<uint8_t>(bytes_[next_++]);
      held_ += 8;
    }
  }
  uint32_t Peek(int count) const {
    const int missing = count - held_;
    const uint64_t bits =
        missing <= 0 ? bits_ >> -missing : bits_ << missing | ((uint64_t{1} << missing) - 1);
    return static_cast<uint32_t>(bits) & ((1u << count) - 1);
  }
  // REQUIRES: they are held.
  uint32_t PeekHeld(int count) const {
    return static_cast<uint32_t>(bits_ >> (held_ - count)) & ((1u << count) - 1);
  }
  void Drop(int count) { held_ -= count; }
  int held() const { return held_; }
  bool IsEmpty() const { return held_ == 0 && next_ == bytes_.size(); }

 private:
  const absl::string_view bytes_;
  size_t next_ = 0;
  uint64_t bits_ = 0;
  int held_ = 0;  // of bits_, the lowest
};

// Of a symbol whose code is longer than the short ones; kEndOfString also where there is none.
int LongSymbol(const BitReader& reader, int& bits) {
  for (bits = kShortBits + 1; bits <= kLongestBits; ++bits) {
    const uint32_t offset = reader.Peek(bits) - kCode.first_code[bits];
    if (offset < kCode.count[bits]) return kCode.symbols[kCode.first_place[bits] + offset];
  }
  return kEndOfString;
}

// Nearly all text, as far as whole codes are held.
char* DecodeShort(BitReader& reader, char* to) {
  while (reader.held() >= kShortBits) {
    const Code::Short found = kCode.short_codes[reader.PeekHeld(kShortBits)];
    if (found.bits == 0) break;
    reader.Drop(found.bits);
    *to++ = static_cast<char>(found.symbol);
  }
  return to;
}

// What is left is the beginning of the end's code, which is all ones, and not a whole byte.
bool IsPadding(const BitReader& reader) {
  constexpr int kMaxPaddingBits = 7;
  const int left = reader.held();
  if (PLANTED_BUG("http2_huffman_padding_unchecked")) return true;
  return left <= kMaxPaddingBits && reader.Peek(left) == (1u << left) - 1;
}

}  // namespace

bool DecodeHuffman(absl::string_view bytes, std::string& out) {
  constexpr size_t kShortestBits = 5;
  BitReader reader(bytes);
  const size_t before = out.size();
  out.resize(before + bytes.size() * 8 / kShortestBits);
  char* to = out.data() + before;
  while (true) {
    reader.Fill();
    to = DecodeShort(reader, to);
    reader.Fill();
    if (reader.IsEmpty()) break;
    const Code::Short found = kCode.short_codes[reader.Peek(kShortBits)];
    int bits = found.bits;
    const int symbol = bits != 0 ? found.symbol : LongSymbol(reader, bits);
    if (symbol == kEndOfString || bits > reader.held()) {
      if (!IsPadding(reader)) return false;
      break;
    }
    reader.Drop(bits);
    *to++ = static_cast<char>(symbol);
  }
  out.resize(static_cast<size_t>(to - out.data()));
  return true;
}

}  // namespace tidemark::server::http2
