#include "src/server/http2/header_table.h"

#include <utility>

#include "src/base/check.h"
#include "src/base/failpoint.h"
#include "src/base/release.h"

namespace tidemark::server::http2 {

HeaderTable::Found HeaderTable::Find(size_t number) {
  if (number == 0) return {};
  if (number <= kStaticHeaders) {
    const StaticHeader& header = kStaticTable[number - 1];
    return {header.name, header.value, &static_notes_[number - 1]};
  }
  const size_t age = number - kStaticHeaders - 1;
  if (age >= count_) return {};
  Entry& entry = Newest(age);
  const absl::string_view text = entry.text;
  return {text.substr(0, entry.name_bytes), text.substr(entry.name_bytes), &entry.note};
}

// What is larger than the whole table empties it, and is not in it (section 4.4).
void HeaderTable::Add(absl::string_view name, absl::string_view value, const HeaderNote& note) {
  const size_t size_bytes = TableBytesOf(name, value);
  // Before what it may be a part of goes.
  std::string text;
  if (size_bytes <= max_bytes_) {
    text.reserve(name.size() + value.size());
    text.append(name.data(), name.size());
    text.append(value.data(), value.size());
  }
  const size_t name_bytes = name.size();
  Evict(size_bytes <= max_bytes_ ? max_bytes_ - size_bytes : 0);
  if (size_bytes > max_bytes_) return;
  if (entries_.empty()) entries_.resize(kMaxEntries);
  CHECK(count_ < kMaxEntries);
  entries_[next_] = {std::move(text), name_bytes,
                     PLANTED_BUG("http2_notes_are_mixed_up") ? entries_[next_].note : note};
  next_ = (next_ + 1) % kMaxEntries;
  ++count_;
  bytes_ += size_bytes;
}

void HeaderTable::SetMaxBytes(size_t byte_count) {
  CHECK(byte_count <= kHeaderTableBytes);
  max_bytes_ = byte_count;
  Evict(byte_count);
}

size_t HeaderTable::held_bytes() const {
  size_t held_bytes = 0;
  for (const Entry& entry : entries_) held_bytes += entry.text.capacity();
  return held_bytes;
}

// The oldest, until the rest takes no more than that.
void HeaderTable::Evict(size_t byte_count) {
  while (bytes_ > byte_count) {
    Entry& oldest = Newest(count_ - 1);
    bytes_ -= TableBytesOf(oldest.text, "");
    if (!PLANTED_BUG("http2_table_keeps_what_left")) Release(oldest.text);
    --count_;
  }
}

}  // namespace tidemark::server::http2
