// HPACK's Huffman code (RFC 7541, section 5.2 and appendix B), one way: decoding.
//
// Hides the table. Pure; input is hostile.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace tidemark::server::http2 {

// Appends the text to `out`, at most 8/5 of the bytes. False: the bytes are no such code.
bool DecodeHuffman(absl::string_view bytes, std::string& out);

}  // namespace tidemark::server::http2
