// Header blocks for a client (HPACK, RFC 7541), for a server that answers with the same few headers
// again and again.
//
// Hides the client's table: headers that repeat are put into it once and named by their place from
// then on, a byte each; all others are sent as they are. Nothing is allocated and nothing searched,
// which is why this is not the library's. Bound to one thread.
//
// Invariant: holds what the client's table holds, in the same order; nothing is ever pushed out of
// it, because nothing is put into it that does not fit.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "src/server/http2/hpack.h"

namespace tidemark::server::http2 {

struct Header {
  absl::string_view name;  // in lower case
  absl::string_view value;
  bool repeats = false;  // REQUIRES: text that lives for ever
};

class HeaderBlockWriter {
 public:
  // The client's SETTINGS_HEADER_TABLE_SIZE.
  void SetMaxTableBytes(uint32_t byte_count);
  void Append(absl::Span<const Header> headers, std::string& block);

 private:
  static constexpr size_t kMaxEntries = 4;

  void AppendHeader(const Header& header, std::string& block);
  bool AppendIndexed(const Header& header, std::string& block) const;
  bool Fits(const Header& header) const;

  std::array<Header, kMaxEntries> entries_;  // the oldest first
  size_t entry_count_ = 0;
  size_t table_bytes_ = 0;
  size_t max_table_bytes_ = kHeaderTableBytes;
  bool must_tell_size_ = false;
};

}  // namespace tidemark::server::http2
