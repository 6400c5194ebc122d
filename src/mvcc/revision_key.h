// The name of one change: (main, sub). main is the revision of the journal entry, sub the place of
// the change inside it, from 0. Ordered as etcd orders its revision keys.
#pragma once

#include <compare>
#include <cstdint>

#include "src/base/ids.h"

namespace tidemark::mvcc {

struct RevisionKey {
  Revision main;
  int64_t sub = 0;
  friend constexpr auto operator<=>(const RevisionKey&, const RevisionKey&) = default;
};

}  // namespace tidemark::mvcc
