#include "src/base/crc32c.h"

#include <isa-l/crc.h>

#include <algorithm>
#include <cstddef>

#include "src/base/check.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TIDEMARK_ASAN
#include <sanitizer/asan_interface.h>
#endif
#endif

namespace tidemark {
namespace {

// The library is not instrumented: what it reads is looked at here, or a size that nobody checked
// would go unnoticed where most of them would show.
void ExpectReadable([[maybe_unused]] absl::string_view bytes) {
#ifdef TIDEMARK_ASAN
  CHECK(bytes.empty() ||
        __asan_region_is_poisoned(const_cast<char*>(bytes.data()), bytes.size()) == nullptr);
#endif
}

}  // namespace

uint32_t ExtendCrc32c(uint32_t crc, absl::string_view bytes) {
  constexpr size_t kMaxBytes = size_t{1} << 30;  // it takes an int
  ExpectReadable(bytes);
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
