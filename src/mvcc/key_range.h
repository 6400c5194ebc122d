// A range of keys in etcd's convention, normalised: [begin, end), or [begin, infinity).
//
// Immutable values. KeyRange owns its bytes, KeyRangeView borrows them.
// Source of the convention: etcd's RangeRequest (key, range_end), contract section 2.2.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace tidemark::mvcc {

struct KeyRangeView {
  absl::string_view begin;
  absl::string_view end;  // ignored when to_infinity or single
  bool single = false;    // exactly the key `begin`
  bool to_infinity = false;

  bool Contains(absl::string_view key) const {
    if (single) return key == begin;
    return key >= begin && (to_infinity || key < end);
  }
  bool Empty() const { return !single && !to_infinity && begin >= end; }
  bool Intersects(const KeyRangeView& other) const {
    if (Empty() || other.Empty()) return false;
    if (single) return other.Contains(begin);
    if (other.single) return Contains(other.begin);
    return (to_infinity || other.begin < end) && (other.to_infinity || begin < other.end);
  }
};

// etcd's (key, range_end): "" is one key, "\0" is everything from key on.
inline KeyRangeView FromEtcd(absl::string_view key, absl::string_view range_end) {
  KeyRangeView range;
  range.begin = key;
  if (range_end.empty()) {
    range.single = true;
  } else if (range_end.size() == 1 && range_end[0] == '\0') {
    range.to_infinity = true;
  } else {
    range.end = range_end;
  }
  return range;
}

inline KeyRangeView SingleKey(absl::string_view key) {
  return {.begin = key, .end = {}, .single = true, .to_infinity = false};
}

struct KeyRange {
  std::string begin;
  std::string end;
  bool single = false;
  bool to_infinity = false;

  KeyRange() = default;
  explicit KeyRange(const KeyRangeView& view)
      : begin(view.begin), end(view.end), single(view.single), to_infinity(view.to_infinity) {}
  KeyRangeView view() const { return {begin, end, single, to_infinity}; }
};

}  // namespace tidemark::mvcc
