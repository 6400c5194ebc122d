#include "src/server/http2/header_block_writer.h"

#include <algorithm>

#include "src/base/failpoint.h"
#include "src/server/http2/static_table.h"

namespace tidemark::server::http2 {
namespace {

// Section 5.1.
void AppendNumber(const HpackForm& form, size_t number, std::string& out) {
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

// In the static table, by its name; zero: it is not one of those that answers have.
size_t StaticNumber(absl::string_view name) {
  constexpr size_t kStatusOk = 8;
  constexpr size_t kContentType = 31;
  static_assert(kStaticTable[kStatusOk - 1].value == "200");
  static_assert(kStaticTable[kContentType - 1].name == "content-type");
  if (name == ":status") return kStatusOk;
  return name == "content-type" ? kContentType : 0;
}

bool IsStatic(const Header& header) {
  const size_t number = StaticNumber(header.name);
  return number != 0 && !header.value.empty() && kStaticTable[number - 1].value == header.value;
}

bool IsSame(const Header& a, const Header& b) { return a.name == b.name && a.value == b.value; }

}  // namespace

void HeaderBlockWriter::SetMaxTableBytes(uint32_t byte_count) {
  const size_t usable = std::min<size_t>(byte_count, kHeaderTableBytes);
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
  const size_t name_number = StaticNumber(header.name);
  AppendNumber(into_table ? kLiteralIntoTable : kLiteral, name_number, block);
  if (name_number == 0) AppendText(header.name, block);
  AppendText(header.value, block);
  if (!into_table) return;
  entries_[entry_count_++] = header;
  table_bytes_ += TableBytesOf(header.name, header.value);
}

bool HeaderBlockWriter::AppendIndexed(const Header& header, std::string& block) const {
  if (IsStatic(header)) {
    AppendNumber(kIndexed, StaticNumber(header.name), block);
    return true;
  }
  if (!header.repeats) return false;
  for (size_t i = 0; i < entry_count_; ++i) {
    if (!IsSame(entries_[i], header)) continue;
    const size_t newer = entry_count_ - 1 - i;  // those pushed it back
    AppendNumber(kIndexed,
                 kStaticHeaders + 1 + (PLANTED_BUG("http2_index_is_not_moved") ? 0 : newer), block);
    return true;
  }
  return false;
}

bool HeaderBlockWriter::Fits(const Header& header) const {
  return entry_count_ < kMaxEntries &&
         table_bytes_ + TableBytesOf(header.name, header.value) <= max_table_bytes_;
}

}  // namespace tidemark::server::http2
