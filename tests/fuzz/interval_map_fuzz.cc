// Any sequence of insertions and removals, against the list of what is inside.
#include <algorithm>

#include "src/mvcc/interval_map.h"
#include "tests/fuzz/fuzz_target.h"

namespace tidemark::mvcc {
namespace {

struct Held {
  KeyRange range;
  uint64_t id = 0;
};

// Few different keys, so that ranges meet.
std::string Key(fuzz::Input& in) {
  const uint8_t byte = in.Byte();
  std::string key(byte >> 6, static_cast<char>('a' + byte % 4));
  if ((byte & 0x20) != 0) key.push_back(static_cast<char>(byte & 0x10 ? 0 : 0xff));
  return key;
}

std::vector<uint64_t> Expected(const std::vector<Held>& held, absl::string_view key) {
  std::vector<const Held*> found;
  for (const Held& each : held) {
    if (each.range.view().Contains(key)) found.push_back(&each);
  }
  std::sort(found.begin(), found.end(), [](const Held* a, const Held* b) {
    return a->range.begin != b->range.begin ? a->range.begin < b->range.begin : a->id < b->id;
  });
  std::vector<uint64_t> ids;
  for (const Held* each : found) ids.push_back(each->id);
  return ids;
}

}  // namespace

FUZZ_TARGET(interval_map) {
  fuzz::Input in(input.substr(0, 1024));
  IntervalMap<uint64_t> map;
  std::vector<Held> held;
  while (!in.done()) {
    const uint8_t op = in.Byte();
    if (op % 4 == 0 && !held.empty()) {
      const size_t at = in.Below(held.size());
      map.Erase(held[at].range, held[at].id);
      held.erase(held.begin() + static_cast<std::ptrdiff_t>(at));
    } else if (op % 4 == 1) {
      const std::string key = Key(in);
      std::vector<uint64_t> ids;
      map.Stab(key, [&](uint64_t id) { ids.push_back(id); });
      CHECK(ids == Expected(held, key));
    } else {
      KeyRange range;
      range.begin = Key(in);
      range.end = Key(in);
      range.to_infinity = (op & 0x40) != 0;
      const uint64_t id = in.Byte();
      const bool is_taken =
          std::any_of(held.begin(), held.end(), [&](const Held& each) { return each.id == id; });
      if (range.view().Empty() || is_taken) continue;
      map.Insert(range, id, id);
      held.push_back({range, id});
    }
    map.CheckInvariants();
    CHECK(map.size() == held.size());
  }
}

}  // namespace tidemark::mvcc
