#include "src/mvcc/record_entry.h"

#include "src/mvcc/key_index.h"
#include "src/mvcc/key_value_codec.h"

namespace tidemark::mvcc {
namespace {

bool Decode(Revision main, absl::string_view wire, KeyValueFields* fields) {
  return DecodeKeyValue(wire, fields) && !fields->key.empty() &&
         fields->mod_revision == main.value();
}

}  // namespace

bool IsRecordOf(Revision main, absl::string_view wire) {
  KeyValueFields fields;
  return Decode(main, wire, &fields);
}

bool DescribeRecord(const RecordHeader& record, uint32_t slot, size_t offset, RecordEntry* entry) {
  KeyValueFields fields;
  if (!Decode(Revision(record.main), record.wire(), &fields)) return false;
  entry->main = record.main;
  entry->key_hash = KeyIndex::HashOf(fields.key);
  entry->sub_and_tombstone = record.sub_and_tombstone;
  entry->checksum = record.checksum;
  entry->wire_size = record.wire_size;
  entry->slot = slot;
  entry->offset_words = static_cast<uint32_t>(offset / 8);
  entry->leased = fields.lease != 0;
  entry->node.reset(KeyNode::Create(fields.key));
  entry->node->PushBack(Version(Revision(record.main), record.tombstone(), entry->location()));
  return true;
}

}  // namespace tidemark::mvcc
