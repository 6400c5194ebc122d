// HTTP/1 requests: strict, bounded, and the same however the bytes arrived.
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "src/server/transport/http1_parser.h"
#include "tests/fuzz/fuzz_target.h"

namespace tidemark::server {
namespace {

constexpr Http1Limits kLimits = {
    .max_head_bytes = 400, .max_header_count = 6, .max_body_bytes = 200};

std::string Text(const HttpRequest& request, bool keep_alive) {
  std::string text = absl::StrCat(request.method, " ", request.path, "?", request.query, " ",
                                  keep_alive ? "k" : "c", "\n");
  request.headers.ForEach([&text](absl::string_view name, absl::string_view value) {
    CHECK(name == absl::AsciiStrToLower(name) && !absl::StrContains(name, ' '));
    CHECK(!absl::StrContains(value, '\r') && !absl::StrContains(value, '\n'));
    absl::StrAppend(&text, name, "=", value, "\n");
  });
  CHECK(request.headers.size() <= kLimits.max_header_count);
  CHECK(request.body.size() <= kLimits.max_body_bytes);
  return absl::StrCat(text, request.body, "\n");
}

// All requests of the connection, then how it ended.
std::string ReadAll(absl::string_view bytes, size_t piece_bytes) {
  Http1Parser parser(kLimits);
  std::string log;
  while (!bytes.empty()) {
    absl::string_view piece = bytes.substr(0, piece_bytes);
    bytes.remove_prefix(piece.size());
    while (!piece.empty()) {
      switch (parser.Parse(piece)) {
        case Http1Parser::Result::kMore:
          CHECK(piece.empty());
          break;
        case Http1Parser::Result::kError:
          CHECK(parser.error_status() >= 400 && parser.error_status() < 600);
          return absl::StrCat(log, "error ", parser.error_status());
        case Http1Parser::Result::kRequest: {
          const bool keep_alive = parser.keep_alive();
          log += Text(parser.TakeRequest(), keep_alive);
          if (!keep_alive) return log;
          parser.Reset();
          CHECK(!parser.in_request());
          break;
        }
      }
    }
  }
  return log;
}

}  // namespace

FUZZ_TARGET(http1) {
  fuzz::Input in(input);
  const size_t piece_bytes = 1 + in.Byte();
  const std::string whole = ReadAll(in.rest(), in.rest().size() + 1);
  CHECK(ReadAll(in.rest(), 1) == whole);
  CHECK(ReadAll(in.rest(), piece_bytes) == whole);
}

}  // namespace tidemark::server
