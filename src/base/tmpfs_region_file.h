// Files of memory, mapped.
//
// Hides mmap, and that a full tmpfs would otherwise show itself as SIGBUS: all pages of a file are
// there before it is handed out. Pure functions; errors name the file and ResourceExhausted is
// memory that there is not. What is mapped is the caller's to unmap.
#pragma once

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace tidemark {

// A new file, all zeros. AlreadyExists when there is one.
absl::StatusOr<absl::Span<char>> CreateRegionFile(const std::string& path, size_t size_bytes);
absl::StatusOr<absl::Span<char>> OpenRegionFile(const std::string& path);
// A private copy: nothing that is written reaches the file.
absl::StatusOr<absl::Span<char>> CopyRegionFile(const std::string& path);
absl::StatusOr<absl::Span<char>> MapAnonymous(size_t size_bytes, const std::string& name);
void Unmap(absl::Span<char> mapped);

}  // namespace tidemark
