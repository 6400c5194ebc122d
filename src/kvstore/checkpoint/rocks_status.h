// RocksDB's errors in our words: code, what was done to which path, and what the operator can do.
//
// Stateless functions.
#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "rocksdb/status.h"

namespace tidemark::kvstore {

// ResourceExhausted for no space; DataLoss for damage, a missing file included; else Internal.
absl::Status FromRocks(const rocksdb::Status& status, absl::string_view operation,
                       absl::string_view path);

// The same words for damage that we found ourselves.
absl::Status DamageError(absl::string_view what, absl::string_view path);
absl::Status NoSpaceError(absl::string_view what, absl::string_view path);

// `status` with the path in front, and for damage with what to do.
absl::Status WithPath(const absl::Status& status, absl::string_view path);

}  // namespace tidemark::kvstore
