// Where every stored change lies, in revision order: the order of watch history and of HashKV.
//
// Hides how 16 bytes per change suffice (chunks with a base revision) and how removed changes leave
// no holes behind. Sequence-bound.
//
// Invariants:
//  1. Changes are appended in ascending (main, sub) and keep that order for ever.
//  2. No chunk is empty; at most a quarter of a chunk's entries are removed ones.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "src/mvcc/location.h"
#include "src/mvcc/revision_key.h"

namespace tidemark::mvcc {

class ChangeIndex {
 public:
  void Append(RevisionKey revision, Location location);
  // REQUIRES that the change is stored.
  void Remove(RevisionKey revision);
  void Relocate(RevisionKey revision, Location location);

  // Visits stored changes from `from` on in order until the visitor returns false.
  void VisitFrom(RevisionKey from, absl::FunctionRef<bool(RevisionKey, Location)> visitor) const;

  int64_t size() const { return size_; }
  void CheckInvariants() const;

 private:
  static constexpr size_t kChunkCapacity = 1024;

  struct Entry {
    uint32_t main_delta;  // to the chunk's base
    uint32_t sub;
    Location location;  // null: removed
  };
  struct Chunk {
    int64_t base_main = 0;
    size_t removed = 0;
    std::vector<Entry> entries;

    RevisionKey RevisionAt(size_t i) const {
      return {Revision(base_main + entries[i].main_delta), entries[i].sub};
    }
    bool Reaches(Revision main) const { return main.value() - base_main <= UINT32_MAX; }
    // Index of the first entry >= revision.
    size_t LowerBound(RevisionKey revision) const;
  };

  // Index of the chunk that holds `revision` if any does; chunks_.size() when all are smaller.
  size_t ChunkFor(RevisionKey revision) const;
  Entry& Find(RevisionKey revision, size_t* chunk_index);
  // Drops removed entries, then the chunk itself if it is empty or fits into its predecessor.
  void Tidy(size_t chunk_index);

  std::vector<std::unique_ptr<Chunk>> chunks_;
  int64_t size_ = 0;
};

}  // namespace tidemark::mvcc
