// How much of the machine this process may use, and what of it the store takes unless told.
//
// Hides where the kernel tells: /proc/meminfo, and the control group's limits of either version.
// Stateless functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace tidemark::server {

// The machine's, or less where a control group says so. `root` is "" but in tests.
uint64_t AvailableMemoryBytes(const std::string& root = "");

// Of the machine's `cores`, so many as a control group lets run at a time; a part of one counts as
// one.
size_t AvailableCores(size_t cores, const std::string& root = "");

// 85 % of it; no more than twice the tmpfs, since where little data fits, little traffic is.
int64_t DefaultBudgetBytes(uint64_t memory_bytes, uint64_t tmpfs_bytes);

inline constexpr int64_t kLeastBudgetBytes = 64 << 20;

}  // namespace tidemark::server
