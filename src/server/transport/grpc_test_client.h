// Real gRPC clients for tests, without generated code.
#pragma once

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include "absl/strings/string_view.h"

namespace tidemark::server {

struct UnaryResult {
  grpc::Status status;
  std::string message;
};

class GrpcTestClient {
 public:
  using ContextSetter = std::function<void(grpc::ClientContext&)>;

  explicit GrpcTestClient(const std::string& address,
                          std::shared_ptr<grpc::ChannelCredentials> credentials = nullptr,
                          grpc::ChannelArguments arguments = {});
  ~GrpcTestClient();

  // Method without the service: "Unary". A full path when it begins with '/'.
  UnaryResult Unary(absl::string_view method, absl::string_view message,
                    const ContextSetter& set = nullptr);
  void UnaryAsync(absl::string_view method, absl::string_view message,
                  std::function<void(UnaryResult)> done, const ContextSetter& set = nullptr);
  grpc::GenericStub& stub() { return stub_; }
  grpc::Channel& channel() { return *channel_; }

  static grpc::ByteBuffer Buffer(absl::string_view text);
  static std::string Text(const grpc::ByteBuffer& buffer);

 private:
  struct PendingCall;
  void Complete();

  std::shared_ptr<grpc::Channel> channel_;
  grpc::GenericStub stub_;
  // Not gRPC's callback interface: 1.51 frees the queue behind it twice now and then.
  grpc::CompletionQueue queue_;
  std::thread completer_;
};

// One bidirectional or server stream, used from one thread.
class GrpcTestStream {
 public:
  // Ends by itself after `patience`.
  GrpcTestStream(GrpcTestClient& client, const std::string& method,
                 std::chrono::seconds patience = std::chrono::minutes(5));
  ~GrpcTestStream();

  bool Write(absl::string_view text);
  bool WritesDone();
  // False at the end.
  bool Read(std::string& text);
  grpc::Status Finish();
  grpc::ClientContext& context() { return context_; }

 private:
  bool Next();

  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> stream_;
};

}  // namespace tidemark::server
