// What the journal says of a file that it cannot use: which, why, and what an operator can do.
// Pure functions.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace tidemark::journal {

// DataLoss. `what` follows the file's name: "is damaged", "belongs to another journal".
inline absl::Status FileDamage(absl::string_view path, absl::string_view what) {
  return absl::DataLossError(
      absl::StrCat("journal file ", path, " ", what,
                   ". Nothing was changed. Restore this directory from a copy of the disk"));
}

}  // namespace tidemark::journal
