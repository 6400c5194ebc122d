#include "src/server/transport/header_cache.h"

#include <algorithm>

#include "src/base/failpoint.h"

namespace tidemark::server {

HeaderField HeaderCache::Read(absl::string_view name, absl::string_view value) {
  const bool is_short = name.size() + value.size() <= kMaxHeldBytes;
  if (!is_short || name.empty()) return HeaderField::Read(name, value, methods_);
  const size_t place = PairOf(name, value);
  Pair& pair = pairs_[place];
  for (size_t i = 0; i < pair.size(); ++i) {
    if (!pair[i].Holds(name, value)) continue;
    older_[place] = i == 0 ? 1 : 0;
    return pair[i].field;
  }
  const HeaderField field = HeaderField::Read(name, value, methods_);
  if (field.kind == HeaderField::Kind::kBroken) return field;
  Slot& slot = pair[older_[place]];
  older_[place] ^= 1;
  slot.Hold(name, value);
  slot.field = field;
  return field;
}

bool HeaderCache::Slot::Holds(absl::string_view name, absl::string_view value) const {
  const absl::string_view held_name(text.data(), name_bytes);
  const absl::string_view held_value(text.data() + name_bytes, value_bytes);
  return name == held_name &&
         (value == held_value || PLANTED_BUG("transport_header_value_ignored"));
}

void HeaderCache::Slot::Hold(absl::string_view name, absl::string_view value) {
  name_bytes = static_cast<uint8_t>(name.size());
  value_bytes = static_cast<uint8_t>(value.size());
  std::copy(value.begin(), value.end(), std::copy(name.begin(), name.end(), text.begin()));
}

// Of paths, the last letter tells most.
size_t HeaderCache::PairOf(absl::string_view name, absl::string_view value) {
  const size_t last = value.empty() ? 0 : static_cast<uint8_t>(value.back());
  return (name.size() + 5 * value.size() + 3 * last) % std::tuple_size_v<decltype(pairs_)>;
}

}  // namespace tidemark::server
