#include "src/server/transport/request_head.h"

#include <utility>

#include "absl/types/optional.h"
#include "src/server/transport/grpc_wire.h"

namespace tidemark::server {

void RequestHead::Add(const HeaderField& field, absl::string_view name, absl::string_view value) {
  switch (field.kind) {
    case HeaderField::Kind::kMethod:
      method = std::string(value);
      return;
    case HeaderField::Kind::kPath:
      known_method = field.method;
      if (known_method == nullptr) unknown_path = std::string(value);
      return;
    case HeaderField::Kind::kAuthority:
      authority = std::string(value);
      return;
    case HeaderField::Kind::kContentType:
      is_grpc = field.is_grpc;
      if (!is_grpc) content_type = std::string(value);
      return;
    case HeaderField::Kind::kContentLength:
      body_bytes = HeaderField::LengthOf(value);
      return;
    case HeaderField::Kind::kTimeout:
      timeout = std::string(value);
      return;
    case HeaderField::Kind::kEncoding:
      encoding = std::string(value);
      return;
    case HeaderField::Kind::kMetadata:
      return metadata.Add(name, value);
    case HeaderField::Kind::kBinaryMetadata: {
      absl::optional<std::string> decoded = DecodeBinaryMetadata(value);
      malformed_binary |= !decoded.has_value();
      if (decoded.has_value()) metadata.Add(name, *decoded);
      return;
    }
    case HeaderField::Kind::kBroken:
    case HeaderField::Kind::kScheme:
    case HeaderField::Kind::kUnused:
      return;
  }
}

}  // namespace tidemark::server
