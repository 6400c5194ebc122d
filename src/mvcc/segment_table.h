// Which segments of a store exist, and how far it got: by this a later process knows whether what
// it finds on tmpfs is all there is.
//
// Hides a region of its own: a header, two slots that commits are published in by turns, and one
// word per segment. Every update is a few plain stores, ordered so that a process that dies between
// any two of them leaves the former or the next state, and bytes that rot leave something that is
// refused. Sequence-bound.
//
// Invariants:
//  1. A segment is listed from after its header was written until before its region is discarded.
//  2. Newest() is what the last completed Publish said, or the one before.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "src/base/ids.h"
#include "src/base/memory_mapper.h"

namespace tidemark::mvcc {

class SegmentTable {
 public:
  // A stream's newest segment, and up to where it is filled. Sequence 0: none yet.
  struct Filled {
    uint64_t sequence = 0;
    uint64_t used_bytes = 0;
    friend bool operator==(const Filled&, const Filled&) = default;
  };
  struct Commit {
    Revision main;            // of the newest complete entry; 0 before the first
    uint64_t state_hash = 0;  // VersionStore::state_hash there
    int64_t live_keys = 0;
    uint64_t stored_hash = 0;   // over all records that are not dead,
    uint64_t removing = 0;      // and this one of them may be dead by now; 0: none
    uint64_t start_id = 0;      // StoreOptions'
    uint64_t compacted_at = 0;  // position of the newest compaction that it knows
    Filled fresh;
    Filled survivors;
    friend bool operator==(const Commit&, const Commit&) = default;
  };

  // The region's name, for a store's name.
  static std::string NameFor(const std::string& store) { return store + "-table"; }

  // `identity` names the journal and the partition that the segments belong to.
  static absl::StatusOr<std::unique_ptr<SegmentTable>> Create(MemoryMapper& memory,
                                                              const std::string& name,
                                                              uint64_t identity);
  // DataLoss for anything that Create and the calls below could not have left.
  static absl::StatusOr<std::unique_ptr<SegmentTable>> Open(MemoryMapper& memory,
                                                            const std::string& name,
                                                            uint64_t identity);

  // A table without room remembers that it is incomplete, and cannot be opened again.
  void Add(uint64_t sequence);
  void Remove(uint64_t sequence);
  std::vector<uint64_t> Sequences() const;  // ascending

  void Publish(const Commit& commit);
  const Commit& newest() const { return newest_; }

  void Discard() { region_->Discard(); }

 private:
  struct Layout;

  explicit SegmentTable(std::unique_ptr<MemoryRegion> region);
  Layout& layout() const;
  absl::Status Load(uint64_t identity);

  const std::unique_ptr<MemoryRegion> region_;
  Commit newest_;
  uint64_t turn_ = 0;
  std::vector<uint32_t> free_;                        // places for Add
  absl::flat_hash_map<uint64_t, uint32_t> place_of_;  // by sequence
};

}  // namespace tidemark::mvcc
