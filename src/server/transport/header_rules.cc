#include "src/server/transport/header_rules.h"

#include <nghttp2/nghttp2.h>

#include <utility>

namespace tidemark::server {
namespace {

const uint8_t* Bytes(absl::string_view text) {
  return reinterpret_cast<const uint8_t*>(text.data());
}

bool IsOfTheConnection(absl::string_view name) {
  return name == "connection" || name == "keep-alive" || name == "proxy-connection" ||
         name == "transfer-encoding" || name == "upgrade";
}

}  // namespace

void HeaderRules::Begin(Block block) {
  *this = HeaderRules();
  block_ = block;
}

void HeaderRules::Add(absl::string_view name, absl::string_view value) {
  const bool is_text = nghttp2_check_header_name(Bytes(name), name.size()) != 0 &&
                       nghttp2_check_header_value(Bytes(value), value.size()) != 0;
  if (!is_text) {
    is_broken_ = true;
  } else if (name[0] == ':') {
    is_broken_ |= !AddPseudo(name, value);
  } else {
    is_broken_ |= !AddRegular(name, value);
  }
}

bool HeaderRules::AddPseudo(absl::string_view name, absl::string_view value) {
  if (has_regular_ || block_ == Block::kTrailers) return false;
  if (name == ":authority") return !std::exchange(has_authority_, true);
  if (value.empty()) return false;
  if (name == ":method") return !std::exchange(has_method_, true);
  if (name == ":path") return !std::exchange(has_path_, true);
  if (name == ":scheme") return !std::exchange(has_scheme_, true);
  return false;
}

bool HeaderRules::AddRegular(absl::string_view name, absl::string_view value) {
  has_regular_ = true;
  if (name == "te") return value == "trailers";
  return !IsOfTheConnection(name);
}

bool HeaderRules::IsGood() const {
  if (is_broken_) return false;
  return block_ == Block::kTrailers || (has_method_ && has_path_ && has_scheme_);
}

}  // namespace tidemark::server
