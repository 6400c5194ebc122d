// Whether a header block is one that HTTP/2 allows (RFC 9113 section 8), as far as a server must
// care.
//
// In place of nghttp2's own check, which refuses an :authority that is not one: etcdctl 3.4 sends
// the endpoint as it was given, "http://host:port", and etcd takes it.
//
// Pure; input is hostile. One object judges one block after the other. Bound to one thread.
#pragma once

#include "absl/strings/string_view.h"

namespace tidemark::server {

class HeaderRules {
 public:
  enum class Block { kRequest, kTrailers };

  void Begin(Block block);
  void Add(absl::string_view name, absl::string_view value);
  // When the block is complete. A block that is not good ends its stream with PROTOCOL_ERROR.
  bool IsGood() const;

 private:
  bool AddPseudo(absl::string_view name, absl::string_view value);
  bool AddRegular(absl::string_view name, absl::string_view value);

  Block block_ = Block::kRequest;
  bool is_broken_ = false;
  bool has_regular_ = false;
  bool has_method_ = false;
  bool has_path_ = false;
  bool has_scheme_ = false;
  bool has_authority_ = false;
};

}  // namespace tidemark::server
