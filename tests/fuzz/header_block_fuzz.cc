// Header blocks of one connection, one after the other: HPACK is read as nghttp2 reads it.
//
// Input: blocks, each behind a byte that says how long it is.
#include <utility>

#include "src/server/http2/header_block_reader.h"
#include "src/server/http2/other_decoder_for_test.h"
#include "tests/fuzz/fuzz_target.h"

namespace tidemark::server::http2 {
namespace {

// A tableful, and what short texts take in place.
constexpr size_t kMaxHeldBytes = 8 << 10;

}  // namespace

FUZZ_TARGET(header_block) {
  fuzz::Input in(input);
  HeaderBlockReader reader;
  OtherDecoder other;
  bool is_whole = true;
  while (!in.done() && is_whole) {
    const absl::string_view block = in.Text();
    HeaderPairs read, others;
    is_whole =
        reader.Read(block, [&](absl::string_view name, absl::string_view value, HeaderNote& note) {
          CHECK(note.kind == 0 || note.kind == name.size() + value.size() + 1);
          note.kind = static_cast<uint32_t>(name.size() + value.size() + 1);
          read.emplace_back(std::string(name), std::string(value));
          return true;
        });
    CHECK(other.Decode(block, others) == is_whole);
    if (is_whole) CHECK(reader.held_bytes() <= kMaxHeldBytes);
    if (is_whole) CHECK(read == others);
  }
}

}  // namespace tidemark::server::http2
