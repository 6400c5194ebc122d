// One gRPC call as its caller sees it: messages out, messages in, an end.
//
// Hides framing and gRPC's status. A call that has ended can be started again, so that a busy
// client allocates nothing. Bound to the thread of its connection. Invariant: while it is open it
// belongs to one connection; it is destroyed after that connection, or when it is not open.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "bench/tidebench/wire/framing.h"

namespace tidemark::bench {

class Call {
 public:
  Call() = default;
  Call(const Call&) = delete;
  virtual ~Call() = default;

  bool is_open() const { return stream_id_ != 0; }

 protected:
  // A whole message; its bytes are there only until this returns.
  virtual void OnMessage(absl::string_view message) = 0;
  // gRPC's status. The call is no longer open, and may be started again from here.
  virtual void OnEnd(const absl::Status& status) = 0;

 private:
  friend class Connection;
  friend struct SessionCallbacks;

  void Reset();
  size_t unsent_bytes() const { return unsent_.size() - sent_bytes_; }
  void OnHeader(absl::string_view name, absl::string_view value);
  void OnData(absl::string_view bytes);
  absl::Status EndStatus(uint32_t http2_error) const;

  int32_t stream_id_ = 0;  // 0: not open
  std::string unsent_;     // framed, from sent_bytes_ on
  size_t sent_bytes_ = 0;
  bool input_ends_ = false;   // behind what is unsent
  bool is_deferred_ = false;  // HTTP/2 waits to be told of more to send
  FrameReader reader_;
  int grpc_status_ = -1;  // not seen yet
  std::string grpc_message_;
  std::string broken_;  // why no sense can be made of the answer
};

}  // namespace tidemark::bench
