// HPACK's numbers, for both directions (RFC 7541).
#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace tidemark::server::http2 {

// Section 6: the bits that a representation begins with, and how many are left for its number.
struct HpackForm {
  uint8_t bits;
  int number_bits;
};
constexpr HpackForm kIndexed{0x80, 7};
constexpr HpackForm kLiteralIntoTable{0x40, 6};
constexpr HpackForm kTableSize{0x20, 5};
constexpr HpackForm kLiteral{0x00, 4};
// Section 5.2: of a text, whose number is its size.
constexpr HpackForm kPlainText{0x00, 7};
constexpr HpackForm kHuffmanText{0x80, 7};

// Section 4.2: what both sides' tables begin with; more is never asked for here.
constexpr size_t kHeaderTableBytes = 4096;

// Section 4.1: what a header takes of a table.
constexpr size_t TableBytesOf(absl::string_view name, absl::string_view value) {
  constexpr size_t kOverheadBytes = 32;
  return name.size() + value.size() + kOverheadBytes;
}

}  // namespace tidemark::server::http2
