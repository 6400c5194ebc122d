#include "src/server/transport/grpc_response.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "src/server/transport/grpc_wire.h"
#include "src/server/transport/http2_connection.h"

namespace tidemark::server {
namespace {

// Texts are longer only where they repeat what a client sent, and it takes few bytes to send that
// again; three bytes may become of one here.
constexpr size_t kMaxMessageBytes = 256;

std::string EncodeMessage(const absl::Status& status) {
  return PercentEncode(status.message().substr(0, kMaxMessageBytes));
}

constexpr http2::Header kOk{":status", "200", /*repeats=*/true};
constexpr http2::Header kContentType{"content-type", "application/grpc", /*repeats=*/true};
constexpr http2::Header kStatusOk{"grpc-status", "0", /*repeats=*/true};

}  // namespace

void RespondWithHeaders(Http2Connection& connection, uint32_t stream_id) {
  const http2::Header headers[] = {kOk, kContentType};
  connection.Respond(stream_id, headers, true);
}

void RespondWithStatusOnly(Http2Connection& connection, uint32_t stream_id,
                           const absl::Status& status) {
  const std::string code = absl::StrCat(static_cast<int>(status.code()));
  const std::string message = EncodeMessage(status);
  const http2::Header headers[] = {
      kOk, kContentType, {"grpc-status", code}, {"grpc-message", message}};
  connection.Respond(stream_id, absl::MakeSpan(headers, message.empty() ? 3 : 4), false);
}

void SubmitStatusTrailers(Http2Connection& connection, uint32_t stream_id,
                          const absl::Status& status) {
  if (status.ok()) return connection.SubmitTrailers(stream_id, absl::MakeSpan(&kStatusOk, 1));
  const std::string code = absl::StrCat(static_cast<int>(status.code()));
  const std::string message = EncodeMessage(status);
  const http2::Header trailers[] = {{"grpc-status", code}, {"grpc-message", message}};
  connection.SubmitTrailers(stream_id, absl::MakeSpan(trailers, message.empty() ? 1 : 2));
}

void RespondWithHttpStatus(Http2Connection& connection, uint32_t stream_id,
                           absl::string_view http_status) {
  const http2::Header headers[] = {{":status", http_status}, {"content-type", "text/plain"}};
  connection.Respond(stream_id, headers, false);
}

}  // namespace tidemark::server
