// A client's header blocks, decoded (HPACK, RFC 7541).
//
// Our own, because the table can then keep what a header means beside it: nghttp2's decoder and
// finding out again took a fifth of a get. Bound to one thread; input is hostile.
//
// 1. Every block of a connection must be read whole, also those that nobody needs: each may change
//    the table that the next ones refer to.
// 2. What it tells of is there until the callback returns.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "src/server/http2/header_table.h"
#include "src/server/http2/hpack.h"

namespace tidemark::server::http2 {

class HeaderBlockReader {
 public:
  // What is left in `note` comes back with the same header, as long as the table has it. False: no
  // more of this block.
  using OnHeader =
      absl::FunctionRef<bool(absl::string_view name, absl::string_view value, HeaderNote& note)>;

  HeaderBlockReader() = default;
  HeaderBlockReader(const HeaderBlockReader&) = delete;

  // False: the block is broken, or `on_header` wanted no more of it. Either ends the connection.
  bool Read(absl::string_view block, OnHeader on_header);
  // Between blocks. For tests: see HeaderTable.
  size_t held_bytes() const { return table_.held_bytes() + name_.capacity() + value_.capacity(); }

 private:
  bool ReadIndexed(absl::string_view& block, OnHeader on_header);
  bool ReadLiteral(absl::string_view& block, const HpackForm& form, OnHeader on_header);
  bool ReadTableSize(absl::string_view& block);

  HeaderTable table_;
  std::string name_;  // scratch, for what was Huffman-coded
  std::string value_;
};

}  // namespace tidemark::server::http2
