// What the indexes have to know of a record that is there already, so that a start looks at each
// record once, where it lies, and not again in the order of revisions, shards or keys: a look at
// one of millions of places costs more than all the rest.
//
// Values that are moved, not copied; stateless functions.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "src/mvcc/key_node.h"
#include "src/mvcc/location.h"
#include "src/mvcc/revision_key.h"
#include "src/mvcc/segment.h"

namespace tidemark::mvcc {

struct RecordEntry {
  int64_t main = 0;
  uint64_t key_hash = 0;  // KeyIndex::HashOf
  uint32_t sub_and_tombstone = 0;
  uint32_t checksum = 0;
  uint32_t wire_size = 0;
  uint32_t slot = 0;  // of the segment, or its place in a list of segments
  uint32_t offset_words = 0;
  bool leased = false;  // it names a lease
  // For the index, if it has none of that key yet: the key, with this version alone.
  KeyNode::Owned node;

  RevisionKey revision() const {
    return {Revision(main), static_cast<int64_t>(sub_and_tombstone & ~RecordHeader::kTombstoneBit)};
  }
  bool tombstone() const { return (sub_and_tombstone & RecordHeader::kTombstoneBit) != 0; }
  size_t offset() const { return size_t{offset_words} * 8; }
  Location location() const { return Location(slot, offset()); }
  // The list of segments that `slot` refers to is a part of a longer one.
  void MoveSlot(uint32_t by) {
    slot += by;
    node->mutable_versions()[0].set_location(location());
  }
  // RecordHeader::Hash.
  uint64_t Hash() const { return RecordHeader::HashFrom(main, sub_and_tombstone, checksum); }
};
static_assert(sizeof(RecordEntry) == 48);

// Records in revision order: each run ascends, and lies above the one before.
using RecordRuns = std::vector<std::vector<RecordEntry>>;

// The entry of `record`, which lies at `offset` of segment `slot`. False when its wire bytes are
// not a KeyValue of that revision.
bool DescribeRecord(const RecordHeader& record, uint32_t slot, size_t offset, RecordEntry* entry);

// Whether wire bytes are a KeyValue, with a key, of that revision.
bool IsRecordOf(Revision main, absl::string_view wire);

}  // namespace tidemark::mvcc
