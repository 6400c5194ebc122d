// Response headers and trailers of gRPC calls.
//
// Bound to the connection's loop.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace tidemark::server {

class Http2Connection;

void RespondWithHeaders(Http2Connection& connection, uint32_t stream_id);
// Headers and trailers in one block, for calls that end without a message.
void RespondWithStatusOnly(Http2Connection& connection, uint32_t stream_id,
                           const absl::Status& status);
void SubmitStatusTrailers(Http2Connection& connection, uint32_t stream_id,
                          const absl::Status& status);
// For requests that are no gRPC at all. `http_status` is three digits.
void RespondWithHttpStatus(Http2Connection& connection, uint32_t stream_id,
                           absl::string_view http_status);

}  // namespace tidemark::server
