#include "src/server/http2/header_block_reader.h"

#include "src/base/release.h"
#include "src/server/http2/huffman.h"

namespace tidemark::server::http2 {
namespace {

// No number that means anything here is larger.
constexpr uint64_t kMaxNumber = 1 << 24;

// Section 5.1. False: cut off, or too large.
bool ReadNumber(absl::string_view& block, const HpackForm& form, size_t& number) {
  if (block.empty()) return false;
  const uint64_t limit = (uint64_t{1} << form.number_bits) - 1;
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
  const bool is_coded = (static_cast<uint8_t>(block[0]) & kHuffmanText.bits) != 0;
  size_t size_bytes = 0;
  if (!ReadNumber(block, kPlainText, size_bytes) || size_bytes > block.size()) return false;
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
    const bool is_table_size = (first & 0xe0) == kTableSize.bits;
    bool good = false;
    if ((first & kIndexed.bits) != 0) {
      good = ReadIndexed(block, on_header);
    } else if ((first & kLiteralIntoTable.bits) != 0) {
      good = ReadLiteral(block, kLiteralIntoTable, on_header);
    } else if (is_table_size) {
      good = !had_header && ReadTableSize(block);  // section 4.2
    } else {
      good = ReadLiteral(block, kLiteral, on_header);
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
  if (!ReadNumber(block, kIndexed, number)) return false;
  const HeaderTable::Found found = table_.Find(number);
  return found.note != nullptr && on_header(found.name, found.value, *found.note);
}

bool HeaderBlockReader::ReadLiteral(absl::string_view& block, const HpackForm& form,
                                    OnHeader on_header) {
  size_t number = 0;
  if (!ReadNumber(block, form, number)) return false;
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
  if (form.bits == kLiteralIntoTable.bits) table_.Add(name, value, note);
  return true;
}

bool HeaderBlockReader::ReadTableSize(absl::string_view& block) {
  size_t size_bytes = 0;
  if (!ReadNumber(block, kTableSize, size_bytes)) return false;
  if (size_bytes > kHeaderTableBytes) return false;
  table_.SetMaxBytes(size_bytes);
  return true;
}

}  // namespace tidemark::server::http2
