// HPACK's tables as a server reads by them (RFC 7541, section 2.3): the static one, and the one
// that a client fills.
//
// Each header in it has a note, which whoever understands headers may leave there: what a client
// sends again and again has to be understood once. Bound to one thread.
//
// Invariant: the sizes of what the client put into it, as section 4.1 counts them, are together no
// more than max_bytes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "src/server/http2/hpack.h"
#include "src/server/http2/static_table.h"

namespace tidemark::server::http2 {

// Nothing to this module; zero until somebody says otherwise.
struct HeaderNote {
  uint32_t kind = 0;
  const void* subject = nullptr;
};

class HeaderTable {
 public:
  struct Found {
    absl::string_view name;
    absl::string_view value;
    HeaderNote* note = nullptr;
  };

  // By HPACK's number. A name that is nullptr: there is none. Valid until Add or SetMaxBytes.
  Found Find(size_t number);
  void Add(absl::string_view name, absl::string_view value, const HeaderNote& note);
  // REQUIRES: no more than kHeaderTableBytes.
  void SetMaxBytes(size_t byte_count);
  // What its texts take. Looks at all places: for tests.
  size_t held_bytes() const;

 private:
  static constexpr size_t kMaxEntries = kHeaderTableBytes / TableBytesOf("", "");

  struct Entry {
    std::string text;  // name and value
    size_t name_bytes = 0;
    HeaderNote note;
  };

  void Evict(size_t byte_count);
  Entry& Newest(size_t age) { return entries_[(next_ + kMaxEntries - 1 - age) % kMaxEntries]; }

  std::array<HeaderNote, kStaticHeaders> static_notes_{};
  std::vector<Entry> entries_;  // a ring, empty until it is needed
  size_t next_ = 0;             // where the next one goes
  size_t count_ = 0;
  size_t bytes_ = 0;
  size_t max_bytes_ = kHeaderTableBytes;
};

}  // namespace tidemark::server::http2
