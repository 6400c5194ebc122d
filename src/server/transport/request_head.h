// A request's header block, as far as anyone here is interested.
//
// Bound to one thread; input is hostile.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "src/server/rpc.h"
#include "src/server/transport/header_field.h"

namespace tidemark::server {

struct RequestHead {
  // Besides its size.
  void Add(const HeaderField& field, absl::string_view name, absl::string_view value);

  std::string method;
  const Method* known_method = nullptr;  // the path, when it is that of a gRPC method
  std::string unknown_path;              // the path otherwise, with query
  std::string authority;
  bool is_grpc = false;                // by its content type
  std::string content_type;            // when not gRPC
  std::optional<uint64_t> body_bytes;  // content-length
  std::string timeout;                 // grpc-timeout
  std::string encoding;                // grpc-encoding
  Metadata metadata;
  size_t size_bytes = 0;  // as SETTINGS_MAX_HEADER_LIST_SIZE counts
  bool malformed_binary = false;

  absl::string_view path() const {
    return known_method != nullptr ? absl::string_view(known_method->path) : unknown_path;
  }
};

}  // namespace tidemark::server
