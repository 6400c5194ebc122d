// The bytes of checkpoints: header, identity, record, node state, the end of a table. What decodes
// encodes to the same bytes, and keeps the rules of what it is.
//
// Input: kind, whether the checksum is put right, then the bytes. A record: its key's size, key,
// value.
#include "src/base/crc32c.h"
#include "src/base/little_endian.h"
#include "src/kvstore/checkpoint/record_codec.h"
#include "src/kvstore/checkpoint/table_tail.h"
#include "src/kvstore/node_state.h"
#include "tests/fuzz/fuzz_target.h"

namespace tidemark::kvstore {
namespace {

constexpr RecordHome kHome{7, PartitionId(3), 5};

std::string WithChecksum(absl::string_view bytes, bool repaired) {
  std::string out(bytes);
  if (!repaired || out.size() < 4) return out;
  StoreLittle<uint32_t>(out.data() + out.size() - 4,
                        Crc32c(absl::string_view(out).substr(0, out.size() - 4)));
  return out;
}

void CheckStatus(const absl::Status& status) {
  CHECK(absl::IsDataLoss(status) || absl::IsFailedPrecondition(status));
}

void CheckHeader(const std::string& bytes) {
  absl::StatusOr<StoredHeader> stored = DecodeHeader(bytes);
  if (!stored.ok()) return CheckStatus(stored.status());
  CHECK(EncodeHeader(*stored) == bytes);
  CHECK(stored->header.records >= 0);
}

void CheckIdentity(const std::string& bytes) {
  absl::StatusOr<uint64_t> store = DecodeIdentity(bytes);
  if (!store.ok()) return CheckStatus(store.status());
  CHECK(EncodeIdentity(*store) == bytes);
}

void CheckRecord(fuzz::Input in, bool repaired) {
  const std::string key(in.Text());
  std::string value(in.rest());
  if (repaired && value.size() >= kRecordPrefixBytes) {
    uint32_t crc = ExtendCrc32c(HomeCrc(kHome), key);
    crc = ExtendCrc32c(crc, absl::string_view(value).substr(0, 1));
    crc = ExtendCrc32c(crc, absl::string_view(value).substr(kRecordPrefixBytes));
    StoreLittle<uint32_t>(value.data() + 1, crc);
  }
  // On the heap in their own sizes, so that a byte too many is seen.
  absl::StatusOr<CheckpointRecord> record = DecodeRecord(HomeCrc(kHome), key, value);
  if (!record.ok()) return CheckStatus(record.status());
  const RecordKeyBytes again = EncodeRecordKey(record->revision);
  CHECK(absl::string_view(again.data(), again.size()) == key);
  const RecordPrefixBytes prefix =
      EncodeRecordPrefix(HomeCrc(kHome), again, record->tombstone, record->wire);
  CHECK(absl::string_view(prefix.data(), prefix.size()) ==
        absl::string_view(value).substr(0, kRecordPrefixBytes));
}

void CheckState(absl::string_view bytes) {
  absl::StatusOr<ImageState> state = DecodeImageState(bytes);
  if (!state.ok()) return CheckStatus(state.status());
  for (size_t i = 0; i < state->node.leases.size(); ++i) {
    const LeaseState& lease = state->node.leases[i];
    CHECK(lease.id != LeaseId(0) && lease.remaining_seconds > 0);
    CHECK(lease.remaining_seconds <= lease.ttl_seconds);
    CHECK(i == 0 || state->node.leases[i - 1].id < lease.id);
  }
  const std::string encoded = EncodeImageState(*state);
  absl::StatusOr<ImageState> again = DecodeImageState(encoded);
  CHECK(again.ok() && again->node == state->node);
  CHECK(again->partition_map == state->partition_map && again->last_change == state->last_change);
  CHECK(again->stored_hash == state->stored_hash && EncodeImageState(*again) == encoded);
}

void CheckTable(absl::string_view bytes) {
  const absl::Status status = CheckTableTail(
      bytes.size(), [bytes](uint64_t offset, size_t size) -> absl::StatusOr<std::string> {
        CHECK(offset <= bytes.size() && size <= bytes.size() - offset);
        return std::string(bytes.substr(offset, size));
      });
  CHECK(status.ok() || absl::IsDataLoss(status));
}

}  // namespace

FUZZ_TARGET(checkpoint_codec) {
  fuzz::Input in(input);
  const uint8_t kind = in.Byte();
  const bool repaired = in.Bool();
  switch (kind % 5) {
    case 0:
      return CheckHeader(WithChecksum(in.rest(), repaired));
    case 1:
      return CheckIdentity(WithChecksum(in.rest(), repaired));
    case 2:
      return CheckRecord(in, repaired);
    case 3:
      return CheckState(in.rest());
    case 4:
      return CheckTable(in.rest());
  }
}

}  // namespace tidemark::kvstore
