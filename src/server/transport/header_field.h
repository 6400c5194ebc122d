// What one header of a request means to this server, by itself.
//
// An :authority may be anything: etcdctl 3.4 sends the endpoint as it was given,
// "http://host:port", and etcd takes it.
//
// Pure; input is hostile.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "src/server/http2/header_table.h"
#include "src/server/rpc.h"

namespace tidemark::server {

using MethodTable = absl::flat_hash_map<absl::string_view, const Method*>;  // by path

struct HeaderField {
  enum class Kind : uint8_t {
    kBroken,  // what HTTP/2 forbids wherever it stands (RFC 9113, section 8.2 and 8.3)
    // Pseudo-headers.
    kMethod,
    kPath,
    kScheme,
    kAuthority,
    // Regular ones.
    kContentType,
    kContentLength,
    kTimeout,
    kEncoding,
    kMetadata,
    kBinaryMetadata,
    kUnused,
  };

  static HeaderField Read(absl::string_view name, absl::string_view value,
                          const MethodTable& methods);
  // Of a content-length; nullopt: it is none (RFC 9110, section 8.6: digits only).
  static std::optional<uint64_t> LengthOf(absl::string_view value);
  // As it is kept beside a header in HPACK's table.
  http2::HeaderNote ToNote() const;
  static HeaderField FromNote(const http2::HeaderNote& note);
  bool IsPseudo() const { return kind >= Kind::kMethod && kind <= Kind::kAuthority; }

  Kind kind = Kind::kBroken;
  bool is_grpc = false;            // kContentType
  const Method* method = nullptr;  // kPath, when it is that of a gRPC method
};

}  // namespace tidemark::server
