// The bytes of checkpoints: keys and values of records, headers, the store's identity.
//
// Hides the layout (docs/checkpoint-format.md); knows nothing of files. Stateless functions.
//
// Decoding takes any bytes: DataLoss for what is not exactly an encoding, FailedPrecondition for
// one of a newer format. Never reads past the end.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "src/kvstore/checkpoint/checkpoint_store.h"

namespace tidemark::kvstore {

inline constexpr uint32_t kCheckpointFormatVersion = 1;

// --- Records. Their checksum also covers where they belong: a record of another store, partition
// or generation is damage.

struct RecordHome {
  uint64_t store = 0;
  PartitionId partition;
  uint64_t generation = 0;  // counts the whole checkpoints of the partition
};
// The CRC over the home, from which that of each record goes on.
uint32_t HomeCrc(const RecordHome& home);

inline constexpr size_t kRecordKeyBytes = 16;
inline constexpr size_t kRecordPrefixBytes = 5;  // flag, CRC; the wire bytes follow
using RecordKeyBytes = std::array<char, kRecordKeyBytes>;
using RecordPrefixBytes = std::array<char, kRecordPrefixBytes>;

// Ordered as the revisions are. REQUIRES main >= 0, sub >= 0.
RecordKeyBytes EncodeRecordKey(mvcc::RevisionKey revision);
// nullopt for anything else.
std::optional<mvcc::RevisionKey> DecodeRecordKey(absl::string_view key);
RecordPrefixBytes EncodeRecordPrefix(uint32_t home_crc, const RecordKeyBytes& key, bool tombstone,
                                     absl::string_view wire);
// The record's wire views `value`.
absl::StatusOr<CheckpointRecord> DecodeRecord(uint32_t home_crc, absl::string_view key,
                                              absl::string_view value);

// --- Headers.

struct StoredHeader {
  uint64_t store = 0;
  uint64_t generation = 0;
  CheckpointHeader header;
};
std::string EncodeHeader(const StoredHeader& stored);
absl::StatusOr<StoredHeader> DecodeHeader(absl::string_view bytes);

// --- Whose directory it is.

std::string EncodeIdentity(uint64_t store);
absl::StatusOr<uint64_t> DecodeIdentity(absl::string_view bytes);

}  // namespace tidemark::kvstore
