// The text of a partition map: what is accepted tiles the key space, and knows whose keys are in a
// range.
// Input: the map's text, a line "--", then one key per line.
#include <algorithm>

#include "absl/strings/str_split.h"
#include "src/partition/partition_map.h"
#include "tests/fuzz/fuzz_target.h"

namespace tidemark::partition {
namespace {

void CheckRange(const PartitionMap& map, const mvcc::KeyRangeView& range,
                const std::vector<std::string>& keys) {
  const std::vector<PartitionId> owners = map.Owners(range);
  CHECK(std::is_sorted(owners.begin(), owners.end()));
  CHECK(!owners.empty());
  for (const std::string& key : keys) {
    if (!range.Contains(key)) continue;
    CHECK(std::binary_search(owners.begin(), owners.end(), map.Owner(key)));
  }
}

}  // namespace

FUZZ_TARGET(partition_map) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(input, absl::MaxSplits("\n--\n", 1));
  absl::StatusOr<PartitionMap> map = PartitionMap::Parse(parts.first);
  if (!map.ok()) {
    CHECK(absl::IsInvalidArgument(map.status()));
    return;
  }
  CHECK(map->size() >= 1 && map->size() <= PartitionMap::kMaxPartitions);
  CHECK(map->ids().size() == map->size());
  for (PartitionId id : map->ids()) CHECK(!map->name(id).empty());
  (void)map->CanonicalText();
  std::vector<std::string> keys = absl::StrSplit(parts.second.substr(0, 512), '\n');
  keys.resize(std::min<size_t>(keys.size(), 12));
  for (const std::string& key : keys) {
    if (!key.empty()) CHECK(map->Owner(key).value() < map->size());
    for (const std::string& end : keys) {
      if (!key.empty()) CheckRange(*map, mvcc::FromEtcd(key, end), keys);
    }
    CheckRange(*map, mvcc::FromEtcd(key, absl::string_view("\0", 1)), keys);
  }
}

}  // namespace tidemark::partition
