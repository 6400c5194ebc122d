// gRPC's framing of messages: a zero byte, four of length, the message.
//
// Hides how messages lie in a stream of bytes. Values.
#pragma once

#include <cstdint>
#include <string>

#include <google/protobuf/message_lite.h>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"

namespace tidemark::bench {

inline constexpr size_t kFramePrefixBytes = 5;

void AppendFramed(const google::protobuf::MessageLite& message, std::string* to);

class FrameReader {
 public:
  // Calls `on_message` for each message that is complete now. False when it is compressed.
  bool Add(absl::string_view bytes, absl::FunctionRef<void(absl::string_view)> on_message);

  bool holds_part() const { return !held_.empty(); }  // of a message
  void Clear() { held_.clear(); }

 private:
  std::string held_;  // of an incomplete message, with its prefix
};

}  // namespace tidemark::bench
