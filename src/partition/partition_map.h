// Which partition owns a key.
//
// Hides how prefixes become a tiling of the key space. A prefix "/registry/pods/" claims the keys
// that start with it and, because clients probe it, the bare key "/registry/pods" (the prefix
// without its last slash). Everything else belongs to partition 0, "rest".
// Immutable value, thread-safe.
//
// Invariants:
//  1. Every key has exactly one owner (X1); the tiles cover the key space in order, no gaps.
//  2. Ids are 1, 2, 3, ... in the order given; 0 (kSystemPartition) always exists.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "src/base/ids.h"
#include "src/mvcc/key_range.h"

namespace tidemark::partition {

class PartitionMap {
 public:
  static constexpr size_t kMaxPartitions = 64;  // "rest" included
  static constexpr size_t kMaxPrefixes = 1024;

  struct Named {
    std::string name;
    std::vector<std::string> prefixes;
  };
  // The intervals [begin, next tile's begin) that tile the key space; the first begins at "".
  struct Tile {
    std::string begin;
    PartitionId owner;
  };

  // pods, nodes, leases, events and the rest, as a kube-apiserver names them.
  static PartitionMap Default();
  static PartitionMap Single();
  // "single", "default" or "" (the default), or "name=prefix[,prefix...]" items separated by ';' or
  // line ends; lines may be comments ('#') and "name: prefix" is understood too (plain YAML).
  // The name "rest" is taken. InvalidArgument names what is wrong.
  static absl::StatusOr<PartitionMap> Parse(absl::string_view text);
  static absl::StatusOr<PartitionMap> Create(std::vector<Named> named);

  size_t size() const { return named_.size() + 1; }
  const std::vector<PartitionId>& ids() const { return ids_; }
  absl::string_view name(PartitionId id) const;

  PartitionId Owner(absl::string_view key) const;
  // Owners of the keys of a range, ascending; for an empty range the owner of its begin.
  std::vector<PartitionId> Owners(const mvcc::KeyRangeView& range) const;

  // What data written under this map depends on: ids and prefixes, not names.
  std::string CanonicalText() const;

 private:
  explicit PartitionMap(std::vector<Named> named);
  size_t TileOf(absl::string_view key) const;

  std::vector<Named> named_;      // id - 1
  std::vector<PartitionId> ids_;  // ascending
  std::vector<Tile> tiles_;
};

}  // namespace tidemark::partition
