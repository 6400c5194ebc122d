#include "src/kvstore/checkpoint/record_codec.h"

#include "absl/strings/str_cat.h"
#include "src/base/check.h"
#include "src/base/crc32c.h"
#include "src/base/failpoint.h"
#include "src/base/little_endian.h"

namespace tidemark::kvstore {
namespace {

constexpr uint32_t kHeaderMagic = 0x48434d54;    // "TMCH"
constexpr uint32_t kIdentityMagic = 0x53434d54;  // "TMCS"
constexpr size_t kEnvelopeBytes = 12;            // magic, version, CRC at the end

enum RecordFlag : uint8_t { kLive = 0, kTombstone = 1 };

void StoreBig(char* at, uint64_t value) {
  for (int i = 7; i >= 0; --i, value >>= 8) at[i] = static_cast<char>(value & 0xff);
}

uint64_t LoadBig(const char* at) {
  uint64_t value = 0;
  for (int i = 0; i < 8; ++i) value = value << 8 | static_cast<uint8_t>(at[i]);
  return value;
}

std::string BeginEnvelope(uint32_t magic) {
  std::string out;
  AppendLittle<uint32_t>(&out, magic);
  AppendLittle<uint32_t>(&out, kCheckpointFormatVersion);
  return out;
}

std::string EndEnvelope(std::string out) {
  AppendLittle<uint32_t>(&out, Crc32c(out));
  return out;
}

// What lies between version and CRC. Those and the magic keep their places in every version, so
// that a newer one is told from damage.
absl::StatusOr<absl::string_view> OpenEnvelope(absl::string_view bytes, uint32_t magic,
                                               absl::string_view what) {
  if (bytes.size() < kEnvelopeBytes) {
    return absl::DataLossError(absl::StrCat(what, " of ", bytes.size(), " bytes is too short"));
  }
  absl::string_view covered = bytes.substr(0, bytes.size() - 4);
  if (LoadLittle<uint32_t>(covered.data()) != magic) {
    return absl::DataLossError(absl::StrCat(what, " does not begin like one"));
  }
  if (LoadLittle<uint32_t>(bytes.data() + covered.size()) != Crc32c(covered)) {
    return absl::DataLossError(absl::StrCat("checksum of the ", what, " is wrong"));
  }
  uint32_t version = LoadLittle<uint32_t>(covered.data() + 4);
  if (version > kCheckpointFormatVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat(what, " has format version ", version, ", this program knows versions up to ",
                     kCheckpointFormatVersion, ": start the newer tidemark that wrote it"));
  }
  if (version == 0) return absl::DataLossError(absl::StrCat(what, " has format version 0"));
  return covered.substr(8);
}

uint32_t RecordCrc(uint32_t home_crc, absl::string_view key, uint8_t flag, absl::string_view wire) {
  uint32_t crc = ExtendCrc32c(home_crc, key);
  crc = ExtendCrc32c(crc, absl::string_view(reinterpret_cast<const char*>(&flag), 1));
  return ExtendCrc32c(crc, wire);
}

}  // namespace

uint32_t HomeCrc(const RecordHome& home) {
  std::string bytes;
  AppendLittle<uint64_t>(&bytes, home.store);
  AppendLittle<uint32_t>(&bytes, home.partition.value());
  AppendLittle<uint64_t>(&bytes, home.generation);
  return Crc32c(bytes);
}

RecordKeyBytes EncodeRecordKey(mvcc::RevisionKey revision) {
  CHECK(revision.main.value() >= 0 && revision.sub >= 0);
  RecordKeyBytes key;
  StoreBig(key.data(), static_cast<uint64_t>(revision.main.value()));
  StoreBig(key.data() + 8, static_cast<uint64_t>(revision.sub));
  return key;
}

std::optional<mvcc::RevisionKey> DecodeRecordKey(absl::string_view key) {
  if (key.size() != kRecordKeyBytes) return std::nullopt;
  const mvcc::RevisionKey revision{Revision(static_cast<int64_t>(LoadBig(key.data()))),
                                   static_cast<int64_t>(LoadBig(key.data() + 8))};
  if (revision.main.value() < 0 || revision.sub < 0) return std::nullopt;
  return revision;
}

RecordPrefixBytes EncodeRecordPrefix(uint32_t home_crc, const RecordKeyBytes& key, bool tombstone,
                                     absl::string_view wire) {
  uint8_t flag = tombstone ? kTombstone : kLive;
  RecordPrefixBytes prefix;
  prefix[0] = static_cast<char>(flag);
  StoreLittle<uint32_t>(prefix.data() + 1,
                        RecordCrc(home_crc, absl::string_view(key.data(), key.size()), flag, wire));
  return prefix;
}

absl::StatusOr<CheckpointRecord> DecodeRecord(uint32_t home_crc, absl::string_view key,
                                              absl::string_view value) {
  const bool is_short = key.size() != kRecordKeyBytes || value.size() < kRecordPrefixBytes;
  if (is_short && !PLANTED_BUG("checkpoint_record_size_unchecked")) {
    return absl::DataLossError(absl::StrCat("a record has a key of ", key.size(),
                                            " bytes and a value of ", value.size(), " bytes"));
  }
  CheckpointRecord record;
  record.revision.main = Revision(static_cast<int64_t>(LoadBig(key.data())));
  record.revision.sub = static_cast<int64_t>(LoadBig(key.data() + 8));
  record.wire = value.substr(kRecordPrefixBytes);
  uint8_t flag = static_cast<uint8_t>(value[0]);
  record.tombstone = flag == kTombstone;
  if (LoadLittle<uint32_t>(value.data() + 1) != RecordCrc(home_crc, key, flag, record.wire)) {
    return absl::DataLossError(absl::StrCat("checksum of the record at revision ",
                                            record.revision.main.value(), ".", record.revision.sub,
                                            " is wrong"));
  }
  if (flag > kTombstone || record.revision.main.value() < 0 || record.revision.sub < 0) {
    return absl::DataLossError(absl::StrCat("a record has flag ", flag, " and revision ",
                                            record.revision.main.value(), ".",
                                            record.revision.sub));
  }
  return record;
}

std::string EncodeHeader(const StoredHeader& stored) {
  const CheckpointHeader& header = stored.header;
  std::string out = BeginEnvelope(kHeaderMagic);
  AppendLittle<uint64_t>(&out, stored.store);
  AppendLittle<uint64_t>(&out, stored.generation);
  AppendLittle<uint32_t>(&out, header.partition.value());
  AppendLittle<uint64_t>(&out, header.at.position.value());
  AppendLittle<int64_t>(&out, header.at.revision.value());
  AppendLittle<uint64_t>(&out, header.at.term.value());
  AppendLittle<int64_t>(&out, header.compact_revision.value());
  AppendLittle<uint64_t>(&out, header.state_hash);
  AppendLittle<int64_t>(&out, header.records);
  AppendLittle<uint64_t>(&out, header.record_bytes);
  CHECK(header.node_state.size() <= kCheckpointNodeStateBytesMax);
  AppendLittle<uint32_t>(&out, static_cast<uint32_t>(header.node_state.size()));
  out += header.node_state;
  return EndEnvelope(std::move(out));
}

absl::StatusOr<StoredHeader> DecodeHeader(absl::string_view bytes) {
  absl::StatusOr<absl::string_view> content = OpenEnvelope(bytes, kHeaderMagic, "header");
  if (!content.ok()) return content.status();
  ByteReader reader(*content);
  StoredHeader stored;
  CheckpointHeader& header = stored.header;
  stored.store = reader.Read<uint64_t>();
  stored.generation = reader.Read<uint64_t>();
  header.partition = PartitionId(reader.Read<uint32_t>());
  header.at.position = Position(reader.Read<uint64_t>());
  header.at.revision = Revision(reader.Read<int64_t>());
  header.at.term = Term(reader.Read<uint64_t>());
  header.compact_revision = Revision(reader.Read<int64_t>());
  header.state_hash = reader.Read<uint64_t>();
  header.records = reader.Read<int64_t>();
  header.record_bytes = reader.Read<uint64_t>();
  uint32_t node_state_bytes = reader.Read<uint32_t>();
  absl::string_view node_state = reader.ReadBytes(node_state_bytes);
  if (reader.failed() || !reader.rest().empty()) {
    return absl::DataLossError(absl::StrCat("header of ", bytes.size(), " bytes is not complete"));
  }
  if (header.records < 0 || header.at.revision < kEmptyStoreRevision) {
    return absl::DataLossError(absl::StrCat("header with ", header.records, " records at revision ",
                                            header.at.revision.value()));
  }
  header.node_state = std::string(node_state);
  return stored;
}

std::string EncodeIdentity(uint64_t store) {
  std::string out = BeginEnvelope(kIdentityMagic);
  AppendLittle<uint64_t>(&out, store);
  return EndEnvelope(std::move(out));
}

absl::StatusOr<uint64_t> DecodeIdentity(absl::string_view bytes) {
  absl::StatusOr<absl::string_view> content = OpenEnvelope(bytes, kIdentityMagic, "identity");
  if (!content.ok()) return content.status();
  ByteReader reader(*content);
  uint64_t store = reader.Read<uint64_t>();
  if (reader.failed() || !reader.rest().empty()) {
    return absl::DataLossError(
        absl::StrCat("identity of ", bytes.size(), " bytes is not complete"));
  }
  return store;
}

}  // namespace tidemark::kvstore
