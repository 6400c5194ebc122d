#include "src/server/http2/header_block_reader.h"

#include "src/base/check.h"

namespace tidemark::server::http2 {
namespace {

absl::string_view View(const uint8_t* bytes, size_t size) {
  return absl::string_view(reinterpret_cast<const char*>(bytes), size);
}

}  // namespace

HeaderBlockReader::HeaderBlockReader() { CHECK(nghttp2_hd_inflate_new(&inflater_) == 0); }

HeaderBlockReader::~HeaderBlockReader() { nghttp2_hd_inflate_del(inflater_); }

bool HeaderBlockReader::Read(absl::string_view block, OnHeader on_header) {
  while (true) {
    nghttp2_nv header;
    int flags = 0;
    const ssize_t taken =
        nghttp2_hd_inflate_hd2(inflater_, &header, &flags,
                               reinterpret_cast<const uint8_t*>(block.data()), block.size(), 1);
    if (taken < 0) return false;
    block.remove_prefix(static_cast<size_t>(taken));
    if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0 &&
        !on_header(View(header.name, header.namelen), View(header.value, header.valuelen))) {
      return false;
    }
    if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0) break;
    if ((flags & NGHTTP2_HD_INFLATE_EMIT) == 0 && block.empty()) break;
  }
  nghttp2_hd_inflate_end_headers(inflater_);
  return true;
}

}  // namespace tidemark::server::http2
