#include "bench/tidebench/wire/call.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "nghttp2/nghttp2.h"

namespace tidemark::bench {

void Call::Reset() {
  unsent_.clear();
  sent_bytes_ = 0;
  input_ends_ = false;
  is_deferred_ = false;
  reader_.Clear();
  grpc_status_ = -1;
  grpc_message_.clear();
  broken_.clear();
}

void Call::OnHeader(absl::string_view name, absl::string_view value) {
  if (name == "grpc-status") {
    if (!absl::SimpleAtoi(value, &grpc_status_)) broken_ = absl::StrCat("grpc-status ", value);
  } else if (name == "grpc-message") {
    grpc_message_ = std::string(value);
  } else if (name == ":status" && value != "200") {
    broken_ = absl::StrCat("HTTP status ", value);
  }
}

void Call::OnData(absl::string_view bytes) {
  if (!broken_.empty()) return;
  if (!reader_.Add(bytes, [&](absl::string_view message) { OnMessage(message); })) {
    broken_ = "a compressed message";
  }
}

absl::Status Call::EndStatus(uint32_t http2_error) const {
  if (grpc_status_ == 0 && broken_.empty() && !reader_.holds_part()) return absl::OkStatus();
  if (grpc_status_ > 0) {
    return absl::Status(static_cast<absl::StatusCode>(grpc_status_), grpc_message_);
  }
  if (!broken_.empty()) return absl::InternalError(broken_);
  if (reader_.holds_part()) return absl::InternalError("the answer ends inside a message");
  return absl::UnavailableError(
      absl::StrCat("no status; HTTP/2 says ", nghttp2_http2_strerror(http2_error)));
}

}  // namespace tidemark::bench
