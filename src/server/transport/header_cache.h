// What headers mean that a client sends again with every request.
//
// HPACK names a repeated header by its place in a table, and nghttp2 hands out the table's own
// buffers: the same two buffers are the same header. Those of the last few headers are kept, so
// that no other header can come to lie at their addresses. Bound to its connection's loop.
//
// Invariant: holds a reference to each buffer in it, and none of a header longer than kMaxHeldBytes
// or forbidden.
#pragma once

#include <nghttp2/nghttp2.h>

#include <array>
#include <cstddef>

#include "src/server/transport/header_field.h"

namespace tidemark::server {

absl::string_view TextOf(nghttp2_rcbuf* buffer);

class HeaderCache {
 public:
  // Name and value of one header; nghttp2 may have allocated several times as much for them.
  static constexpr size_t kMaxHeldBytes = 96;

  explicit HeaderCache(const MethodTable& methods) : methods_(methods) {}
  HeaderCache(const HeaderCache&) = delete;
  ~HeaderCache();

  HeaderField Read(nghttp2_rcbuf* name, nghttp2_rcbuf* value);

 private:
  struct Slot {
    nghttp2_rcbuf* name = nullptr;
    nghttp2_rcbuf* value = nullptr;
    HeaderField field;
  };
  using Pair = std::array<Slot, 2>;  // the newer one first

  Pair& PairOf(const nghttp2_rcbuf* value);
  static void Remember(Pair& pair, const Slot& slot);
  static void Release(const Slot& slot);

  const MethodTable& methods_;
  std::array<Pair, 16> pairs_;
};

}  // namespace tidemark::server
