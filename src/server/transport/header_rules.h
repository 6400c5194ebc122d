// Whether a header block is one that HTTP/2 allows (RFC 9113 section 8.3), as far as a server must
// care: which headers it has, and in what order.
//
// Pure. One object judges one block after the other. Bound to one thread.
#pragma once

#include "src/server/transport/header_field.h"

namespace tidemark::server {

class HeaderRules {
 public:
  enum class Block { kRequest, kTrailers };

  void Begin(Block block);
  void Add(const HeaderField& field);
  // When the block is complete. A block that is not good ends its stream with PROTOCOL_ERROR.
  bool IsGood() const;

 private:
  bool AddPseudo(HeaderField::Kind kind);

  Block block_ = Block::kRequest;
  bool is_broken_ = false;
  bool has_regular_ = false;
  bool has_length_ = false;
  uint32_t pseudo_seen_ = 0;  // a bit for each kind
};

}  // namespace tidemark::server
