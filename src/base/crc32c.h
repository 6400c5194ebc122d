// CRC-32C (Castagnoli: reflected 0x82F63B78, initial value and final xor 0xFFFFFFFF), in hardware
// where the CPU has it. Debian 12 packages no library for it.
#pragma once

#include <cstdint>

#include "absl/strings/string_view.h"

namespace tidemark {

// The CRC of the bytes behind `crc` followed by `bytes`; start with 0.
uint32_t ExtendCrc32c(uint32_t crc, absl::string_view bytes);
inline uint32_t Crc32c(absl::string_view bytes) { return ExtendCrc32c(0, bytes); }

namespace internal {
// The way taken by CPUs without the instruction; visible so that the two can be compared.
uint32_t ExtendCrc32cPortable(uint32_t crc, absl::string_view bytes);
}  // namespace internal

}  // namespace tidemark
