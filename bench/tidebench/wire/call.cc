#include "bench/tidebench/wire/call.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "nghttp2/nghttp2.h"

namespace tidemark::bench {
namespace {

constexpr size_t kPrefixBytes = 5;

size_t MessageBytes(const char* prefix) {
  const auto byte = [&](int i) { return static_cast<size_t>(static_cast<uint8_t>(prefix[i])); };
  return byte(1) << 24 | byte(2) << 16 | byte(3) << 8 | byte(4);
}

}  // namespace

void Call::Reset() {
  unsent_.clear();
  sent_bytes_ = 0;
  input_ends_ = false;
  is_deferred_ = false;
  held_.clear();
  grpc_status_ = -1;
  grpc_message_.clear();
  broken_.clear();
}

void Call::AppendMessage(const google::protobuf::MessageLite& message) {
  const size_t size = message.ByteSizeLong();
  const size_t at = unsent_.size();
  unsent_.resize(at + kPrefixBytes + size);
  char* out = unsent_.data() + at;
  for (int i = 1; i < 5; ++i) out[i] = static_cast<char>(size >> (8 * (4 - i)));
  message.SerializeWithCachedSizesToArray(reinterpret_cast<uint8_t*>(out) + kPrefixBytes);
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
  while (!bytes.empty() && broken_.empty()) {
    if (held_.empty() && bytes.size() >= kPrefixBytes) {
      const size_t whole = kPrefixBytes + MessageBytes(bytes.data());
      if (bytes.size() >= whole) {
        if (bytes[0] != 0) broken_ = "a compressed message";
        OnMessage(bytes.substr(kPrefixBytes, whole - kPrefixBytes));
        bytes.remove_prefix(whole);
        continue;
      }
    }
    const size_t wanted =
        held_.size() < kPrefixBytes ? kPrefixBytes : kPrefixBytes + MessageBytes(held_.data());
    held_.reserve(wanted);
    const size_t taken = std::min(wanted - held_.size(), bytes.size());
    held_.append(bytes.data(), taken);
    bytes.remove_prefix(taken);
    if (held_.size() < kPrefixBytes) continue;
    if (held_[0] != 0) broken_ = "a compressed message";
    if (held_.size() == kPrefixBytes + MessageBytes(held_.data())) {
      OnMessage(absl::string_view(held_).substr(kPrefixBytes));
      held_.clear();
    }
  }
}

absl::Status Call::EndStatus(uint32_t http2_error) const {
  if (grpc_status_ == 0 && broken_.empty() && held_.empty()) return absl::OkStatus();
  if (grpc_status_ > 0) {
    return absl::Status(static_cast<absl::StatusCode>(grpc_status_), grpc_message_);
  }
  if (!broken_.empty()) return absl::InternalError(broken_);
  if (!held_.empty()) return absl::InternalError("the answer ends inside a message");
  return absl::UnavailableError(
      absl::StrCat("no status; HTTP/2 says ", nghttp2_http2_strerror(http2_error)));
}

}  // namespace tidemark::bench
