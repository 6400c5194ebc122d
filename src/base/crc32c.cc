#include "src/base/crc32c.h"

#include <isa-l/crc.h>

#include <algorithm>
#include <cstddef>

namespace tidemark {

uint32_t ExtendCrc32c(uint32_t crc, absl::string_view bytes) {
  constexpr size_t kMaxBytes = size_t{1} << 30;  // it takes an int
  uint32_t register_value = ~crc;
  while (!bytes.empty()) {
    const size_t n = std::min(bytes.size(), kMaxBytes);
    // It only reads, but its declaration does not say so.
    auto* data = reinterpret_cast<unsigned char*>(const_cast<char*>(bytes.data()));
    register_value = crc32_iscsi(data, static_cast<int>(n), register_value);
    bytes.remove_prefix(n);
  }
  return ~register_value;
}

}  // namespace tidemark
