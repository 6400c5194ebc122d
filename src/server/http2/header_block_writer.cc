#include "src/server/http2/header_block_writer.h"

#include <algorithm>

#include "src/base/failpoint.h"

namespace tidemark::server::http2 {
namespace {

// RFC 7541, section 4.2: what both sides begin with; more is never needed here.
constexpr size_t kInitialTableBytes = 4096;
constexpr size_t kEntryOverheadBytes = 32;  // section 4.1
constexpr size_t kStaticEntries = 61;       // appendix A

// Section 6: the bits that a representation begins with, and how many are left for its number.
struct Form {
  uint8_t bits;
  int number_bits;
};
constexpr Form kIndexed{0x80, 7};
constexpr Form kLiteralIntoTable{0x40, 6};
constexpr Form kLiteral{0x00, 4};
constexpr Form kTableSize{0x20, 5};
constexpr Form kPlainText{0x00, 7};  // not Huffman-coded

// Section 5.1.
void AppendNumber(const Form& form, size_t number, std::string& out) {
  const size_t limit = (size_t{1} << form.number_bits) - 1;
  if (number < limit) {
    out.push_back(static_cast<char>(form.bits | number));
    return;
  }
  out.push_back(static_cast<char>(form.bits | limit));
  for (number -= limit; number >= 128; number /= 128) {
    out.push_back(static_cast<char>(number % 128 | 128));
  }
  out.push_back(static_cast<char>(number));
}

void AppendText(absl::string_view text, std::string& out) {
  AppendNumber(kPlainText, text.size(), out);
  out.append(text.data(), text.size());
}

// Of the static table: with this value, or with any.
size_t StaticIndex(const Header& header) { return header.value == "200" ? 8 : 0; }
size_t StaticNameIndex(absl::string_view name) {
  if (name == ":status") return 8;
  if (name == "content-type") return 31;
  return 0;
}

size_t TableBytes(const Header& header) {
  return header.name.size() + header.value.size() + kEntryOverheadBytes;
}

bool IsSame(const Header& a, const Header& b) { return a.name == b.name && a.value == b.value; }

}  // namespace

void HeaderBlockWriter::SetMaxTableBytes(uint32_t byte_count) {
  const size_t usable = std::min<size_t>(byte_count, kInitialTableBytes);
  if (usable == max_table_bytes_) return;
  max_table_bytes_ = usable;
  entry_count_ = table_bytes_ = 0;
  must_tell_size_ = true;
}

void HeaderBlockWriter::Append(absl::Span<const Header> headers, std::string& block) {
  if (must_tell_size_) {
    // Through nothing, so that both sides have an empty table (section 4.2).
    AppendNumber(kTableSize, 0, block);
    AppendNumber(kTableSize, max_table_bytes_, block);
    must_tell_size_ = false;
  }
  for (const Header& header : headers) AppendHeader(header, block);
}

void HeaderBlockWriter::AppendHeader(const Header& header, std::string& block) {
  if (AppendIndexed(header, block)) return;
  const bool into_table = header.repeats && Fits(header);
  const size_t name_index = StaticNameIndex(header.name);
  AppendNumber(into_table ? kLiteralIntoTable : kLiteral, name_index, block);
  if (name_index == 0) AppendText(header.name, block);
  AppendText(header.value, block);
  if (!into_table) return;
  entries_[entry_count_++] = header;
  table_bytes_ += TableBytes(header);
}

bool HeaderBlockWriter::AppendIndexed(const Header& header, std::string& block) const {
  if (header.name == ":status" && StaticIndex(header) != 0) {
    AppendNumber(kIndexed, StaticIndex(header), block);
    return true;
  }
  if (!header.repeats) return false;
  for (size_t i = 0; i < entry_count_; ++i) {
    if (!IsSame(entries_[i], header)) continue;
    const size_t newer = entry_count_ - 1 - i;  // those pushed it back
    AppendNumber(kIndexed,
                 kStaticEntries + 1 + (PLANTED_BUG("http2_index_is_not_moved") ? 0 : newer), block);
    return true;
  }
  return false;
}

bool HeaderBlockWriter::Fits(const Header& header) const {
  return entry_count_ < kMaxEntries && table_bytes_ + TableBytes(header) <= max_table_bytes_;
}

}  // namespace tidemark::server::http2
