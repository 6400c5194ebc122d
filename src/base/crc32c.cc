#include "src/base/crc32c.h"

#include <array>
#include <cstddef>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace tidemark {
namespace {

constexpr uint32_t kReflectedPolynomial = 0x82F63B78;
using Table = std::array<std::array<uint32_t, 256>, 8>;

// tables[0] advances by one byte; tables[k] advances a byte followed by k zero bytes.
constexpr Table MakeTables() {
  Table tables{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) ? kReflectedPolynomial : 0);
    tables[0][byte] = crc;
  }
  for (size_t k = 1; k < 8; ++k) {
    for (size_t byte = 0; byte < 256; ++byte) {
      const uint32_t before = tables[k - 1][byte];
      tables[k][byte] = (before >> 8) ^ tables[0][before & 0xFF];
    }
  }
  return tables;
}

constexpr Table kTables = MakeTables();

uint64_t LoadLittleEndian64(const char* bytes) {
  uint64_t word = 0;
  std::memcpy(&word, bytes, sizeof(word));
  if constexpr (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__) word = __builtin_bswap64(word);
  return word;
}

uint32_t ExtendWithTables(uint32_t crc, const char* bytes, size_t size) {
  for (; size >= 8; bytes += 8, size -= 8) {
    const uint64_t word = LoadLittleEndian64(bytes) ^ crc;
    crc = 0;
    for (size_t k = 0; k < 8; ++k) crc ^= kTables[7 - k][(word >> (8 * k)) & 0xFF];
  }
  for (; size > 0; ++bytes, --size) {
    crc = (crc >> 8) ^ kTables[0][(crc ^ static_cast<unsigned char>(*bytes)) & 0xFF];
  }
  return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) uint32_t ExtendWithSse42(uint32_t crc, const char* bytes,
                                                           size_t size) {
  uint64_t wide = crc;
  for (; size >= 8; bytes += 8, size -= 8) wide = _mm_crc32_u64(wide, LoadLittleEndian64(bytes));
  crc = static_cast<uint32_t>(wide);
  for (; size > 0; ++bytes, --size) crc = _mm_crc32_u8(crc, static_cast<unsigned char>(*bytes));
  return crc;
}
#endif

using Extend = uint32_t (*)(uint32_t, const char*, size_t);

Extend ChooseExtend() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("sse4.2")) return ExtendWithSse42;
#endif
  return ExtendWithTables;
}

}  // namespace

namespace internal {

uint32_t ExtendCrc32cPortable(uint32_t crc, absl::string_view bytes) {
  return ~ExtendWithTables(~crc, bytes.data(), bytes.size());
}

}  // namespace internal

uint32_t ExtendCrc32c(uint32_t crc, absl::string_view bytes) {
  static const Extend extend = ChooseExtend();
  return ~extend(~crc, bytes.data(), bytes.size());
}

}  // namespace tidemark
