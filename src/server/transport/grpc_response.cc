#include "src/server/transport/grpc_response.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "src/server/transport/grpc_wire.h"
#include "src/server/transport/http2_connection.h"

namespace tidemark::server {
namespace {

nghttp2_nv Pair(absl::string_view name, absl::string_view value, uint8_t flags) {
  return {reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
          reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(),
          flags};
}

// Literals live for ever; values do not.
nghttp2_nv Literal(absl::string_view name, absl::string_view value) {
  return Pair(name, value, NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE);
}
nghttp2_nv Copied(absl::string_view name, absl::string_view value) {
  return Pair(name, value, NGHTTP2_NV_FLAG_NO_COPY_NAME);
}

// Clients take about 8 KiB of metadata by default, and three bytes may become of one here. Texts
// are longer only where they repeat what a client sent.
constexpr size_t kMaxMessageBytes = 2 << 10;

std::string EncodeMessage(const absl::Status& status) {
  return PercentEncode(status.message().substr(0, kMaxMessageBytes));
}

const nghttp2_nv kOk = Literal(":status", "200");
const nghttp2_nv kContentType = Literal("content-type", "application/grpc");
const nghttp2_nv kStatusOk = Literal("grpc-status", "0");

}  // namespace

void RespondWithHeaders(Http2Connection& connection, int32_t stream_id) {
  const nghttp2_nv headers[] = {kOk, kContentType};
  connection.Respond(stream_id, headers, true);
}

void RespondWithStatusOnly(Http2Connection& connection, int32_t stream_id,
                           const absl::Status& status) {
  const std::string code = absl::StrCat(static_cast<int>(status.code()));
  const std::string message = EncodeMessage(status);
  const nghttp2_nv headers[] = {kOk, kContentType, Copied("grpc-status", code),
                                Copied("grpc-message", message)};
  connection.Respond(stream_id, absl::MakeSpan(headers, message.empty() ? 3 : 4), false);
}

void SubmitStatusTrailers(Http2Connection& connection, int32_t stream_id,
                          const absl::Status& status) {
  if (status.ok()) return connection.SubmitTrailers(stream_id, absl::MakeSpan(&kStatusOk, 1));
  const std::string code = absl::StrCat(static_cast<int>(status.code()));
  const std::string message = EncodeMessage(status);
  const nghttp2_nv trailers[] = {Copied("grpc-status", code), Copied("grpc-message", message)};
  connection.SubmitTrailers(stream_id, absl::MakeSpan(trailers, message.empty() ? 1 : 2));
}

void RespondWithHttpStatus(Http2Connection& connection, int32_t stream_id,
                           absl::string_view http_status) {
  const nghttp2_nv headers[] = {Copied(":status", http_status),
                                Literal("content-type", "text/plain")};
  connection.Respond(stream_id, headers, false);
}

}  // namespace tidemark::server
