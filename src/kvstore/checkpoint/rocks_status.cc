#include "src/kvstore/checkpoint/rocks_status.h"

#include "absl/strings/str_cat.h"

namespace tidemark::kvstore {

absl::Status DamageError(absl::string_view what, absl::string_view path) {
  return absl::DataLossError(absl::StrCat(
      "checkpoints in ", path, " are damaged: ", what,
      ". Stop this node and keep a copy of its data directory. Restore the whole data directory "
      "from a backup, or, where other nodes hold the data, remove it and let this node start "
      "anew"));
}

absl::Status NoSpaceError(absl::string_view what, absl::string_view path) {
  return absl::ResourceExhaustedError(absl::StrCat(
      "no disk space for checkpoints in ", path, ": ", what,
      ". Free space on that file system or enlarge it; the newest checkpoint there is unharmed"));
}

absl::Status FromRocks(const rocksdb::Status& status, absl::string_view operation,
                       absl::string_view path) {
  if (status.ok()) return absl::OkStatus();
  std::string what = absl::StrCat(operation, ": ", status.ToString());
  if (status.IsNoSpace()) return NoSpaceError(what, path);
  if (status.IsCorruption() || status.IsNotFound() || status.IsPathNotFound()) {
    return DamageError(what, path);
  }
  return absl::InternalError(absl::StrCat(
      "checkpoints in ", path, ": ", what,
      ". Check the disk, the directory's permissions and the kernel's log, then restart"));
}

absl::Status WithPath(const absl::Status& status, absl::string_view path) {
  if (status.ok()) return status;
  if (absl::IsDataLoss(status)) return DamageError(status.message(), path);
  return absl::Status(status.code(), absl::StrCat("checkpoints in ", path, ": ", status.message()));
}

}  // namespace tidemark::kvstore
