#include "src/server/transport/header_cache.h"

#include <cstdint>

#include "src/base/failpoint.h"

namespace tidemark::server {

absl::string_view TextOf(nghttp2_rcbuf* buffer) {
  const nghttp2_vec bytes = nghttp2_rcbuf_get_buf(buffer);
  return absl::string_view(reinterpret_cast<const char*>(bytes.base), bytes.len);
}

HeaderCache::~HeaderCache() {
  for (const Pair& pair : pairs_) {
    for (const Slot& slot : pair) Release(slot);
  }
}

HeaderField HeaderCache::Read(nghttp2_rcbuf* name, nghttp2_rcbuf* value) {
  Pair& pair = PairOf(value);
  for (const Slot& slot : pair) {
    const bool is_same_value = slot.value == value || PLANTED_BUG("transport_header_value_ignored");
    if (slot.name == name && is_same_value) return slot.field;
  }
  const absl::string_view name_text = TextOf(name);
  const absl::string_view value_text = TextOf(value);
  const HeaderField field = HeaderField::Read(name_text, value_text, methods_);
  const bool is_short = name_text.size() + value_text.size() <= kMaxHeldBytes;
  if (is_short && field.kind != HeaderField::Kind::kBroken) Remember(pair, {name, value, field});
  return field;
}

HeaderCache::Pair& HeaderCache::PairOf(const nghttp2_rcbuf* value) {
  constexpr uint64_t kGoldenRatio = 0x9e3779b97f4a7c15;
  constexpr int kShift = 60;
  static_assert(std::tuple_size_v<decltype(pairs_)> == uint64_t{1} << (64 - kShift));
  return pairs_[(reinterpret_cast<uintptr_t>(value) * kGoldenRatio) >> kShift];
}

void HeaderCache::Remember(Pair& pair, const Slot& slot) {
  nghttp2_rcbuf_incref(slot.name);
  nghttp2_rcbuf_incref(slot.value);
  Release(pair[1]);
  pair[1] = pair[0];
  pair[0] = slot;
}

void HeaderCache::Release(const Slot& slot) {
  if (slot.name == nullptr) return;
  nghttp2_rcbuf_decref(slot.name);
  nghttp2_rcbuf_decref(slot.value);
}

}  // namespace tidemark::server
