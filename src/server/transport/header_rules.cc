#include "src/server/transport/header_rules.h"

#include <utility>

namespace tidemark::server {
namespace {

using Kind = HeaderField::Kind;

constexpr uint32_t Bit(Kind kind) { return uint32_t{1} << static_cast<int>(kind); }
constexpr uint32_t kNeeded = Bit(Kind::kMethod) | Bit(Kind::kPath) | Bit(Kind::kScheme);

}  // namespace

void HeaderRules::Begin(Block block) {
  *this = HeaderRules();
  block_ = block;
}

void HeaderRules::Add(const HeaderField& field) {
  if (field.kind == Kind::kBroken) {
    is_broken_ = true;
  } else if (field.IsPseudo()) {
    is_broken_ |= !AddPseudo(field.kind);
  } else {
    has_regular_ = true;
    // Two lengths could be read differently by two readers.
    if (field.kind == Kind::kContentLength) is_broken_ |= std::exchange(has_length_, true);
  }
}

bool HeaderRules::AddPseudo(Kind kind) {
  if (has_regular_ || block_ == Block::kTrailers) return false;
  const bool is_first = (pseudo_seen_ & Bit(kind)) == 0;
  pseudo_seen_ |= Bit(kind);
  return is_first;
}

bool HeaderRules::IsGood() const {
  if (is_broken_) return false;
  return block_ == Block::kTrailers || (pseudo_seen_ & kNeeded) == kNeeded;
}

}  // namespace tidemark::server
