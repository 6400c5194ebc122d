// A client's header blocks, decoded (HPACK, RFC 7541).
//
// Hides nghttp2's decoder and the table it keeps, of 4 KiB. Bound to one thread; input is hostile.
//
// Every block of a connection must be read whole, also those that nobody needs: each may change
// the table that the next ones refer to.
#pragma once

#include <nghttp2/nghttp2.h>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"

namespace tidemark::server::http2 {

class HeaderBlockReader {
 public:
  // False: no more of this block.
  using OnHeader = absl::FunctionRef<bool(absl::string_view name, absl::string_view value)>;

  HeaderBlockReader();
  HeaderBlockReader(const HeaderBlockReader&) = delete;
  ~HeaderBlockReader();

  // False: the block is broken, or `on_header` wanted no more of it. Either ends the connection.
  bool Read(absl::string_view block, OnHeader on_header);

 private:
  nghttp2_hd_inflater* inflater_ = nullptr;
};

}  // namespace tidemark::server::http2
