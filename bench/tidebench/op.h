// One of the outstanding requests of a load: sends one, checks its answer, says that it is done.
//
// Whoever owns it begins the next. Bound to the thread of its connection.
// Invariant: between Begin and Done nothing is begun.
#pragma once

#include <cstdint>
#include <string>

#include <google/protobuf/message_lite.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "bench/tidebench/wire/call.h"
#include "bench/tidebench/wire/connection.h"

namespace tidemark::bench {

class Op;

// Told once for each request; `status` is not OK when it failed or its answer is wrong.
class OpListener {
 public:
  virtual ~OpListener() = default;
  virtual void OnOpDone(Op* op, const absl::Status& status) = 0;
};

class Op : public Call {
 public:
  explicit Op(Connection& connection) : connection_(connection) {}

  // Sends the next request; false when there is none left.
  virtual bool Begin() = 0;

  void set_listener(OpListener* listener) { listener_ = listener; }
  int64_t due_ns = 0;  // for the listener: from when its latency counts
  int64_t keys = 0;    // that the last answer carried

 protected:
  Connection& connection() { return connection_; }
  void Done(const absl::Status& status) { listener_->OnOpDone(this, status); }

 private:
  Connection& connection_;
  OpListener* listener_ = nullptr;
};

inline absl::Status WrongAnswer(absl::string_view text) {
  return absl::DataLossError(absl::StrCat("wrong answer: ", text));
}

// A unary call. The messages are reused, so only what differs from one to the next is set.
template <class Request, class Response>
class UnaryOp : public Op {
 public:
  UnaryOp(Connection& connection, absl::string_view path) : Op(connection), path_(path) {}

  bool Begin() final {
    if (!Prepare(&request_)) return false;
    answers_ = 0;
    connection().Start(this, path_);
    connection().Send(this, request_);
    connection().EndInput(this);
    return true;
  }

 protected:
  virtual bool Prepare(Request* request) = 0;  // false: nothing left to send
  virtual absl::Status Check(const Response& response) = 0;
  // For requests that are to be refused.
  virtual absl::Status CheckRefusal(const absl::Status& status) { return Failed(status); }
  Request* request() { return &request_; }
  absl::Status Failed(const absl::Status& status) const {
    return absl::Status(status.code(), absl::StrCat(path_, ": ", status.message()));
  }

 private:
  void OnMessage(absl::string_view message) final {
    ++answers_;
    parsed_ = response_.ParseFromArray(message.data(), static_cast<int>(message.size()));
  }
  void OnEnd(const absl::Status& status) final {
    if (!status.ok()) return Done(CheckRefusal(status));
    if (answers_ != 1 || !parsed_) return Done(WrongAnswer("not one message, or no such message"));
    Done(Check(response_));
  }

  const absl::string_view path_;
  Request request_;
  Response response_;
  int64_t answers_ = 0;
  bool parsed_ = false;
};

}  // namespace tidemark::bench
