// Whether bytes are well-formed UTF-8 (RFC 3629: no surrogates, nothing overlong).
#pragma once

#include "absl/strings/string_view.h"

namespace tidemark::server {

inline bool IsValidUtf8(absl::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    auto byte = static_cast<unsigned char>(text[i]);
    if (byte < 0x80) {
      ++i;
      continue;
    }
    int more = byte >= 0xf0 ? 3 : byte >= 0xe0 ? 2 : 1;
    if (byte < 0xc2 || byte > 0xf4 || i + more >= text.size()) return false;
    auto second = static_cast<unsigned char>(text[i + 1]);
    if (byte == 0xe0 && second < 0xa0) return false;
    if (byte == 0xed && second > 0x9f) return false;
    if (byte == 0xf0 && second < 0x90) return false;
    if (byte == 0xf4 && second > 0x8f) return false;
    for (int k = 1; k <= more; ++k) {
      if ((static_cast<unsigned char>(text[i + k]) & 0xc0) != 0x80) return false;
    }
    i += more + 1;
  }
  return true;
}

}  // namespace tidemark::server
