#include "src/inspect/record_hashes.h"

#include "absl/strings/str_cat.h"
#include "src/mvcc/key_value_codec.h"
#include "src/mvcc/version_store.h"

namespace tidemark::inspect {

absl::Status RecordHashes::Add(const kvstore::CheckpointRecord& record) {
  mvcc::KeyValueFields fields;
  if (!mvcc::DecodeKeyValue(record.wire, &fields) || fields.key.empty() ||
      fields.mod_revision != record.revision.main.value()) {
    return absl::DataLossError(
        absl::StrCat("the record of revision ", record.revision.main.value(), " is not one"));
  }
  const uint64_t hash = mvcc::VersionStore::HashOf(record.revision, record.tombstone, record.wire);
  stored_hash_ += hash;
  auto newest = newest_.find(fields.key);
  if (newest != newest_.end()) state_hash_ -= newest->second;
  if (record.tombstone) {
    if (newest != newest_.end()) newest_.erase(newest);
    return absl::OkStatus();
  }
  state_hash_ += hash;
  if (newest != newest_.end()) {
    newest->second = hash;
  } else {
    newest_.emplace(std::string(fields.key), hash);
  }
  return absl::OkStatus();
}

}  // namespace tidemark::inspect
