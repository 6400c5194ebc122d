#include "src/server/http2/header_block_reader.h"

#include "src/base/release.h"
#include "src/server/http2/huffman.h"

namespace tidemark::server::http2 {
namespace {

// Section 6: what the first byte of a representation says.
constexpr uint8_t kIndexed = 0x80;
constexpr uint8_t kLiteralIntoTable = 0x40;
constexpr uint8_t kTableSize = 0x20;
constexpr int kIndexedBits = 7;
constexpr int kIntoTableBits = 6;
constexpr int kTableSizeBits = 5;
constexpr int kLiteralBits = 4;
constexpr uint8_t kHuffmanCoded = 0x80;
constexpr int kTextSizeBits = 7;

// No number that means anything here is larger.
constexpr uint64_t kMaxNumber = 1 << 24;

// Section 5.1. False: cut off, or too large.
bool ReadNumber(absl::string_view& block, int bits, size_t& number) {
  if (block.empty()) return false;
  const uint64_t limit = (uint64_t{1} << bits) - 1;
  uint64_t value = static_cast<uint8_t>(block[0]) & limit;
  block.remove_prefix(1);
  if (value == limit) {
    for (int shift = 0;; shift += 7) {
      if (block.empty()) return false;
      const auto byte = static_cast<uint8_t>(block[0]);
      block.remove_prefix(1);
      value += static_cast<uint64_t>(byte & 0x7f) << shift;
      if (value > kMaxNumber || shift > 28) return false;
      if ((byte & 0x80) == 0) break;
    }
  }
  number = value;
  return true;
}

// Section 5.2. Into `scratch` when it is Huffman-coded.
bool ReadText(absl::string_view& block, std::string& scratch, absl::string_view& text) {
  if (block.empty()) return false;
  const bool is_coded = (static_cast<uint8_t>(block[0]) & kHuffmanCoded) != 0;
  size_t size_bytes = 0;
  if (!ReadNumber(block, kTextSizeBits, size_bytes) || size_bytes > block.size()) return false;
  text = block.substr(0, size_bytes);
  block.remove_prefix(size_bytes);
  if (!is_coded) return true;
  scratch.clear();
  if (!DecodeHuffman(text, scratch)) return false;
  text = scratch;
  return true;
}

}  // namespace

bool HeaderBlockReader::Read(absl::string_view block, OnHeader on_header) {
  bool had_header = false;
  while (!block.empty()) {
    const auto first = static_cast<uint8_t>(block[0]);
    const bool is_table_size = (first & 0xe0) == kTableSize;
    bool good = false;
    if ((first & kIndexed) != 0) {
      good = ReadIndexed(block, on_header);
    } else if ((first & kLiteralIntoTable) != 0) {
      good = ReadLiteral(block, kIntoTableBits, /*into_table=*/true, on_header);
    } else if (is_table_size) {
      good = !had_header && ReadTableSize(block);  // section 4.2
    } else {
      good = ReadLiteral(block, kLiteralBits, /*into_table=*/false, on_header);
    }
    if (!good) return false;
    had_header |= !is_table_size;
  }
  // A long text is no reason to keep room for another.
  constexpr size_t kKeptBytes = 256;
  if (name_.capacity() > kKeptBytes) Release(name_);
  if (value_.capacity() > kKeptBytes) Release(value_);
  return true;
}

bool HeaderBlockReader::ReadIndexed(absl::string_view& block, OnHeader on_header) {
  size_t number = 0;
  if (!ReadNumber(block, kIndexedBits, number)) return false;
  const HeaderTable::Found found = table_.Find(number);
  return found.note != nullptr && on_header(found.name, found.value, *found.note);
}

bool HeaderBlockReader::ReadLiteral(absl::string_view& block, int number_bits, bool into_table,
                                    OnHeader on_header) {
  size_t number = 0;
  if (!ReadNumber(block, number_bits, number)) return false;
  absl::string_view name;
  if (number == 0) {
    if (!ReadText(block, name_, name)) return false;
  } else {
    const HeaderTable::Found found = table_.Find(number);
    if (found.note == nullptr) return false;
    name = found.name;
  }
  absl::string_view value;
  if (!ReadText(block, value_, value)) return false;
  HeaderNote note;
  if (!on_header(name, value, note)) return false;
  if (into_table) table_.Add(name, value, note);
  return true;
}

bool HeaderBlockReader::ReadTableSize(absl::string_view& block) {
  size_t size_bytes = 0;
  if (!ReadNumber(block, kTableSizeBits, size_bytes)) return false;
  if (size_bytes > HeaderTable::kLimitBytes) return false;
  table_.SetMaxBytes(size_bytes);
  return true;
}

}  // namespace tidemark::server::http2
