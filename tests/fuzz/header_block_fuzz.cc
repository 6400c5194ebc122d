// Header blocks of one connection, one after the other: HPACK is read as nghttp2 reads it.
//
// Input: blocks, each behind a byte that says how long it is.
#include <nghttp2/nghttp2.h>

#include <utility>

#include "src/server/http2/header_block_reader.h"
#include "tests/fuzz/fuzz_target.h"

namespace tidemark::server::http2 {
namespace {

// A tableful, and what short texts take in place.
constexpr size_t kMaxHeldBytes = 8 << 10;

using Pairs = std::vector<std::pair<std::string, std::string>>;

class Other {
 public:
  Other() { CHECK(nghttp2_hd_inflate_new(&inflater_) == 0); }
  ~Other() { nghttp2_hd_inflate_del(inflater_); }

  bool Read(absl::string_view block, Pairs& pairs) {
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

}  // namespace

FUZZ_TARGET(header_block) {
  fuzz::Input in(input);
  HeaderBlockReader reader;
  Other other;
  bool is_whole = true;
  while (!in.done() && is_whole) {
    const absl::string_view block = in.Text();
    Pairs read, others;
    is_whole =
        reader.Read(block, [&](absl::string_view name, absl::string_view value, HeaderNote& note) {
          CHECK(note.kind == 0 || note.kind == name.size() + value.size() + 1);
          note.kind = static_cast<uint32_t>(name.size() + value.size() + 1);
          read.emplace_back(std::string(name), std::string(value));
          return true;
        });
    CHECK(other.Read(block, others) == is_whole);
    if (is_whole) CHECK(reader.held_bytes() <= kMaxHeldBytes);
    if (is_whole) CHECK(read == others);
  }
}

}  // namespace tidemark::server::http2
