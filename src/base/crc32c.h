// CRC-32C (Castagnoli: reflected 0x82F63B78, initial value and final xor 0xFFFFFFFF).
//
// Hides ISA-L, which takes the fastest way the CPU has.
#pragma once

#include <cstdint>

#include "absl/strings/string_view.h"

namespace tidemark {

// The CRC of the bytes behind `crc` followed by `bytes`; start with 0.
uint32_t ExtendCrc32c(uint32_t crc, absl::string_view bytes);
inline uint32_t Crc32c(absl::string_view bytes) { return ExtendCrc32c(0, bytes); }

}  // namespace tidemark
