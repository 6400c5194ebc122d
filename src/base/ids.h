// Distinct types for the numbers that must never be mixed.
//
// Hides nothing: each is one integer. Immutable values.
// Vocabulary: docs/architecture.md, "Words".
#pragma once

#include <compare>
#include <cstdint>
#include <ostream>

namespace tidemark {

template <typename Tag, typename Rep>
class StrongId {
 public:
  using rep = Rep;

  constexpr StrongId() = default;
  constexpr explicit StrongId(Rep value) : value_(value) {}

  constexpr Rep value() const { return value_; }
  constexpr StrongId Next() const { return StrongId(value_ + 1); }
  constexpr StrongId Previous() const { return StrongId(value_ - 1); }

  friend constexpr auto operator<=>(StrongId, StrongId) = default;

  template <typename H>
  friend H AbslHashValue(H h, StrongId id) {
    return H::combine(std::move(h), id.value_);
  }
  friend std::ostream& operator<<(std::ostream& out, StrongId id) { return out << id.value_; }

 private:
  Rep value_ = 0;
};

// Place of an entry in the journal: dense, the first entry is 1; 0 means "before the first".
using Position = StrongId<struct PositionTag, uint64_t>;
// Election term of the journal's leader, >= 1 once there is a leader.
using Term = StrongId<struct TermTag, uint64_t>;
// etcd's revision: counts entries that change keys; an empty store is at 1.
using Revision = StrongId<struct RevisionTag, int64_t>;
// A part of the key space. 0 is the partition of everything that no prefix claims.
using PartitionId = StrongId<struct PartitionIdTag, uint32_t>;
// Reign of a partition's primary: the position of the entry that claimed the partition.
using Epoch = StrongId<struct EpochTag, uint64_t>;
// One incarnation of something that appends to the journal.
using OriginId = StrongId<struct OriginIdTag, uint64_t>;
// etcd's lease id; 0 means "no lease".
using LeaseId = StrongId<struct LeaseIdTag, int64_t>;

inline constexpr PartitionId kSystemPartition{0};
inline constexpr Revision kEmptyStoreRevision{1};

}  // namespace tidemark
