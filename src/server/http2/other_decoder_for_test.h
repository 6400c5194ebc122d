// HPACK as nghttp2 decodes it, to compare with.
#pragma once

#include <nghttp2/nghttp2.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "src/base/check.h"

namespace tidemark::server::http2 {

using HeaderPairs = std::vector<std::pair<std::string, std::string>>;

class OtherDecoder {
 public:
  OtherDecoder() { CHECK(nghttp2_hd_inflate_new(&inflater_) == 0); }
  OtherDecoder(const OtherDecoder&) = delete;
  ~OtherDecoder() { nghttp2_hd_inflate_del(inflater_); }

  // As SETTINGS_HEADER_TABLE_SIZE says to the other side.
  void SetTableBytes(size_t byte_count) {
    CHECK(nghttp2_hd_inflate_change_table_size(inflater_, byte_count) == 0);
  }
  // Whether the block is whole.
  bool Decode(absl::string_view block, HeaderPairs& pairs) {
    pairs.clear();
    while (true) {
      nghttp2_nv header;
      int flags = 0;
      const ssize_t taken =
          nghttp2_hd_inflate_hd2(inflater_, &header, &flags,
                                 reinterpret_cast<const uint8_t*>(block.data()), block.size(), 1);
      if (taken < 0) return false;
      block.remove_prefix(static_cast<size_t>(taken));
      if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0) {
        pairs.emplace_back(std::string(reinterpret_cast<char*>(header.name), header.namelen),
                           std::string(reinterpret_cast<char*>(header.value), header.valuelen));
      }
      if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0) break;
    }
    nghttp2_hd_inflate_end_headers(inflater_);
    return true;
  }

 private:
  nghttp2_hd_inflater* inflater_ = nullptr;
};

}  // namespace tidemark::server::http2
