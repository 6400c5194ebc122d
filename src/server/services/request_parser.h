// The bytes of a request into its message.
//
// Hides what is dropped on the way: fields that this version of the API does not know would be kept
// at thirty times their size. Pure functions; input is treated as hostile.
#pragma once

#include <cstdint>

#include "absl/strings/string_view.h"
#include "google/protobuf/message.h"
#include "google/protobuf/unknown_field_set.h"
#include "proto/rpc.pb.h"

namespace tidemark::server {

// Not by DiscardUnknownFields, which asks for each field by reflection whether it is set: that took
// longer than to parse most requests.
template <typename Message>
void DropOwnUnknownFields(Message& message) {
  const google::protobuf::Reflection& reflection = *Message::GetReflection();
  if (reflection.GetUnknownFields(message).empty()) return;
  google::protobuf::UnknownFieldSet dropped;  // clearing them would keep their array
  reflection.MutableUnknownFields(&message)->Swap(&dropped);
}

// Of a message without messages in it, as most requests are.
template <typename Request>
void DropUnknownFields(Request& request) {
  DropOwnUnknownFields(request);
}
void DropUnknownFields(etcdserverpb::TxnRequest& request);
void DropUnknownFields(etcdserverpb::WatchRequest& request);

// False: the bytes are not such a message.
template <typename Request>
bool ParseRequest(absl::string_view bytes, Request& request) {
  if (!request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return false;
  DropUnknownFields(request);
  return true;
}
// Transactions may be nested more deeply than the library reads messages, by default.
bool ParseRequest(absl::string_view bytes, etcdserverpb::TxnRequest& request);

// What a parsed request takes besides a small multiple of its bytes: one of many small parts takes
// much more.
template <typename Request>
int64_t ExtraBytes(const Request&) {
  return 0;
}
int64_t ExtraBytes(const etcdserverpb::TxnRequest& request);

}  // namespace tidemark::server
