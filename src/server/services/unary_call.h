// One unary call from its request to its answer.
//
// Hides parsing, admission, the server's time limit, the hop from the store's sequence back to the
// event loop, and what happens to answers that come too late.
// Bound to the call's loop, except the callbacks made by Answer, which any thread may run.
//
// Invariants:
//  1. Exactly one of {reply, refusal, timeout, client gone} ends the call; the first wins.
//  2. What a reply holds is counted until it is sent.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "src/base/log.h"
#include "src/kvstore/etcd_errors.h"
#include "src/server/services/request_parser.h"
#include "src/server/services/service_context.h"

namespace tidemark::server {

class UnaryCall : public std::enable_shared_from_this<UnaryCall> {
 public:
  UnaryCall(ServiceContext& context, ServerCallPtr call)
      : context_(context), call_(std::move(call)) {}
  // Now: with the whole request, as etcd counts.
  void Begin() { started_ = context_.clock().Monotonic(); }

  ServiceContext& services() { return context_; }
  ServerCall& call() { return *call_; }
  absl::Duration started() const { return *started_; }

  partition::CallContext RouterContext(size_t request_size_bytes) const {
    return {request_size_bytes, call_->cancelled()};
  }

  void Reply(OutgoingMessage&& message) {
    if (ended_) return;
    End();
    CountReply(message.begin);
    call_->Send(std::move(message));
    call_->Finish(absl::OkStatus());
  }
  void Refuse(absl::Status status) {
    if (ended_) return;
    End();
    call_->Finish(std::move(status));
  }
  // The call is over: answered, or its client has given up.
  void Leave() {
    if (!ended_) End();
    request_charge_ = MemoryCharge();
    reply_charge_ = MemoryCharge();
  }
  // For the request, until the call is over. False: there is not so much.
  bool HoldMemory(int64_t bytes);

  // A callback for the router: `encode(header, result)` runs on the loop and gives the message; it
  // may move from the result.
  template <typename Result, typename Encode>
  partition::ReplyCallback<Result> Answer(Encode encode) {
    return [self = shared_from_this(),
            encode = std::move(encode)](absl::StatusOr<kvstore::Reply<Result>> reply) mutable {
      Executor& loop = self->call_->loop();
      loop.Post(
          [self = std::move(self), encode = std::move(encode), reply = std::move(reply)]() mutable {
            if (self->ended_) return;
            if (!reply.ok()) return self->Refuse(reply.status());
            self->Reply(encode(self->context_.MakeHeader(reply->revision), reply->result));
          });
    };
  }

 private:
  void End();
  void CountReply(const ByteChain& message);

  ServiceContext& context_;
  const ServerCallPtr call_;
  std::optional<absl::Duration> started_;
  bool ended_ = false;
  MemoryCharge request_charge_;
  MemoryCharge reply_charge_;
};
using UnaryCallPtr = std::shared_ptr<UnaryCall>;

// Text as grpc-go gives it for a request that does not parse.
inline absl::Status BadMessage() {
  return absl::InternalError(
      "grpc: error unmarshalling request: proto: cannot parse invalid "
      "wire-format data");
}

enum class TimeLimit { kServers, kNone };

template <typename Request, typename Body>
class UnaryHandler final : public CallHandler {
 public:
  UnaryHandler(ServiceContext& context, ServerCallPtr call, Body body, TimeLimit limit)
      : unary_(std::make_shared<UnaryCall>(context, std::move(call))),
        body_(std::move(body)),
        limit_(limit) {}

  void OnMessage(absl::string_view message) override {
    ServiceContext& context = unary_->services();
    unary_->Begin();
    if (absl::Status status = context.Admit(unary_->call(), /*stream=*/false); !status.ok()) {
      return unary_->Refuse(std::move(status));
    }
    Request request;
    if (!ParseRequest(message, request)) {
      return unary_->Refuse(BadMessage());
    }
    if (!unary_->HoldMemory(ExtraBytes(request))) {
      return unary_->Refuse(kvstore::ErrTooManyRequests());
    }
    if (limit_ == TimeLimit::kServers) {
      unary_->call().SetTimeLimit(unary_->started() + context.options().request_timeout);
    }
    body_(unary_, std::move(request), message.size());
  }
  void OnTimeLimit() override { unary_->Refuse(kvstore::ErrTimeout()); }
  void OnDone() override { unary_->Leave(); }

 private:
  const UnaryCallPtr unary_;
  Body body_;
  const TimeLimit limit_;
};

// body(UnaryCallPtr, Request, request size) is called on the loop.
template <typename Request, typename Body>
Method UnaryMethod(ServiceContext& context, std::string path, Body body,
                   TimeLimit limit = TimeLimit::kServers) {
  return {std::move(path), CallKind::kUnary, [&context, body, limit](ServerCallPtr call) {
            return std::make_unique<UnaryHandler<Request, Body>>(context, std::move(call), body,
                                                                 limit);
          }};
}

// Protobuf messages of low-rate calls: header filled in, then encoded by the library.
template <typename Response>
void SetHeader(const Header& from, Response& response) {
  auto* header = response.mutable_header();
  header->set_cluster_id(from.cluster_id);
  header->set_member_id(from.member_id);
  header->set_revision(from.revision.value());
  header->set_raft_term(from.term);
}
template <typename Response>
ByteChain Encode(const Response& response) {
  return ByteChain(response.SerializeAsString());
}

}  // namespace tidemark::server
