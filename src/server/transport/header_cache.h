// What headers mean that a client sends again with every request.
//
// The last few are kept with their text, and compared with it. Bound to its connection's loop.
//
// Invariant: holds no header longer than kMaxHeldBytes, and none that is forbidden.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "src/server/transport/header_field.h"

namespace tidemark::server {

class HeaderCache {
 public:
  static constexpr size_t kMaxHeldBytes = 96;  // name and value

  explicit HeaderCache(const MethodTable& methods) : methods_(methods) {}
  HeaderCache(const HeaderCache&) = delete;

  HeaderField Read(absl::string_view name, absl::string_view value);

 private:
  struct Slot {
    bool Holds(absl::string_view name, absl::string_view value) const;
    void Hold(absl::string_view name, absl::string_view value);

    HeaderField field;
    uint8_t name_bytes = 0;  // zero: empty
    uint8_t value_bytes = 0;
    std::array<char, kMaxHeldBytes> text;
  };
  using Pair = std::array<Slot, 2>;

  static size_t PairOf(absl::string_view name, absl::string_view value);

  const MethodTable& methods_;
  std::array<Pair, 16> pairs_{};
  std::array<uint8_t, 16> older_{};  // of each pair, which to replace
};

}  // namespace tidemark::server
