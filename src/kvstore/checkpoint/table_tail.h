// Whether the end of a RocksDB table can be trusted, before RocksDB 7.8.3 looks at it.
//
// RocksDB interprets a table's properties block before it verifies the block's checksum, so that a
// flipped bit there ends the process in an assertion; and nothing protects the footer, where a
// flipped bit can turn off the checksums of the whole file. This checks footer, meta index and
// properties of tables as they are written here (format version 5, CRC-32C). All other blocks
// RocksDB verifies before it uses them.
// Stateless functions; takes any bytes.
#pragma once

#include <cstdint>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace tidemark::kvstore {

inline constexpr int kTableFormatVersion = 5;

// Gives exactly the bytes asked for, or an error.
using ReadTableBytes = absl::FunctionRef<absl::StatusOr<std::string>(uint64_t offset, size_t size)>;

// DataLoss, or what `read` gave.
absl::Status CheckTableTail(uint64_t file_bytes, ReadTableBytes read);

}  // namespace tidemark::kvstore
