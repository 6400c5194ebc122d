// Small files that are replaced as a whole: after a crash either the old content or the new.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "src/base/file_system.h"

namespace tidemark::journal {

// Written as `name`.tmp, synced, renamed; then the directory is synced. A failed sync ends the
// process.
absl::Status ReplaceFile(FileSystem& file_system, const std::string& directory,
                         const std::string& name, absl::string_view content);

absl::StatusOr<std::string> ReadWholeFile(FileSystem& file_system, const std::string& path);

// What ReplaceFile left behind when it was interrupted. It ends with this.
inline constexpr absl::string_view kTemporarySuffix = ".tmp";

// Content in an envelope: magic, version, checksum. DataLoss (or FailedPrecondition for a newer
// version) when it is not what was wrapped.
std::string WrapContent(uint32_t magic, absl::string_view content);
absl::StatusOr<std::string> UnwrapContent(uint32_t magic, absl::string_view wrapped,
                                          const std::string& path);

}  // namespace tidemark::journal
