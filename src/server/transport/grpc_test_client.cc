#include "src/server/transport/grpc_test_client.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"

namespace tidemark::server {
namespace {

grpc::ChannelArguments WithDefaults(grpc::ChannelArguments arguments) {
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetMaxSendMessageSize(-1);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return arguments;
}

std::string Path(absl::string_view method) {
  return method[0] == '/' ? std::string(method) : absl::StrCat("/test.Echo/", method);
}

}  // namespace

GrpcTestClient::GrpcTestClient(const std::string& address,
                               std::shared_ptr<grpc::ChannelCredentials> credentials,
                               grpc::ChannelArguments arguments)
    : channel_(grpc::CreateCustomChannel(
          address, credentials == nullptr ? grpc::InsecureChannelCredentials() : credentials,
          WithDefaults(arguments))),
      stub_(channel_),
      completer_([this] { Complete(); }) {}

GrpcTestClient::~GrpcTestClient() {
  queue_.Shutdown();
  completer_.join();
}

struct GrpcTestClient::PendingCall {
  grpc::ClientContext context;
  grpc::ByteBuffer response;
  grpc::Status status;
  std::unique_ptr<grpc::GenericClientAsyncResponseReader> reader;
  std::function<void(UnaryResult)> done;
};

void GrpcTestClient::Complete() {
  void* tag = nullptr;
  bool ok = false;
  while (queue_.Next(&tag, &ok)) {
    const std::unique_ptr<PendingCall> call(static_cast<PendingCall*>(tag));
    call->done({call->status, Text(call->response)});
  }
}

grpc::ByteBuffer GrpcTestClient::Buffer(absl::string_view text) {
  const grpc::Slice slice(text.data(), text.size());
  return grpc::ByteBuffer(&slice, 1);
}

std::string GrpcTestClient::Text(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  std::string text;
  if (!buffer.Dump(&slices).ok()) return text;
  for (const grpc::Slice& slice : slices) {
    text.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return text;
}

void GrpcTestClient::UnaryAsync(absl::string_view method, absl::string_view message,
                                std::function<void(UnaryResult)> done, const ContextSetter& set) {
  auto call = std::make_unique<PendingCall>();
  if (set) set(call->context);
  call->done = std::move(done);
  call->reader = stub_.PrepareUnaryCall(&call->context, Path(method), Buffer(message), &queue_);
  call->reader->StartCall();
  PendingCall* raw = call.release();  // taken back by Complete
  raw->reader->Finish(&raw->response, &raw->status, raw);
}

UnaryResult GrpcTestClient::Unary(absl::string_view method, absl::string_view message,
                                  const ContextSetter& set) {
  absl::Notification finished;
  UnaryResult result;
  UnaryAsync(
      method, message,
      [&](UnaryResult got) {
        result = std::move(got);
        finished.Notify();
      },
      set);
  finished.WaitForNotification();
  return result;
}

GrpcTestStream::GrpcTestStream(GrpcTestClient& client, const std::string& method,
                               std::chrono::seconds patience) {
  context_.set_deadline(std::chrono::system_clock::now() + patience);
  stream_ = client.stub().PrepareCall(&context_, Path(method), &queue_);
  stream_->StartCall(this);
  Next();
}

GrpcTestStream::~GrpcTestStream() {
  context_.TryCancel();
  queue_.Shutdown();
  void* tag = nullptr;
  bool ok = false;
  while (queue_.Next(&tag, &ok)) {
  }
}

bool GrpcTestStream::Next() {
  void* tag = nullptr;
  bool ok = false;
  return queue_.Next(&tag, &ok) && ok;
}

bool GrpcTestStream::Write(absl::string_view text) {
  stream_->Write(GrpcTestClient::Buffer(text), this);
  return Next();
}

bool GrpcTestStream::WritesDone() {
  stream_->WritesDone(this);
  return Next();
}

bool GrpcTestStream::Read(std::string& text) {
  grpc::ByteBuffer buffer;
  stream_->Read(&buffer, this);
  if (!Next()) return false;
  text = GrpcTestClient::Text(buffer);
  return true;
}

grpc::Status GrpcTestStream::Finish() {
  grpc::Status status;
  stream_->Finish(&status, this);
  Next();
  return status;
}

}  // namespace tidemark::server
