#include "src/journal/disk_errors.h"

#include "absl/strings/str_cat.h"
#include "src/base/check.h"

namespace tidemark::journal {

absl::Status OnlyNoSpace(absl::Status status) {
  if (!status.ok() && !absl::IsResourceExhausted(status)) {
    Fatal(absl::StrCat("journal: ", status.message()));
  }
  return status;
}

void MustSucceed(const absl::Status& status) {
  if (status.ok()) return;
  Fatal(absl::StrCat("journal: ", status.message(),
                     absl::IsResourceExhausted(status)
                         ? "; what is on this disk is unknown now: make space, then start again"
                         : ""));
}

}  // namespace tidemark::journal
