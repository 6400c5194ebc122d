// grpc.health.v1.Health: the port serves, so the node is SERVING (contract 1.1).
#include <utility>

#include "proto/health.pb.h"
#include "src/server/services/services.h"
#include "src/server/services/unary_call.h"

namespace tidemark::server {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;
using grpc::health::v1::HealthListRequest;
using grpc::health::v1::HealthListResponse;

ByteChain EncodeHealth(HealthCheckResponse::ServingStatus status) {
  HealthCheckResponse response;
  response.set_status(status);
  return Encode(response);
}

// One message now; the status changes only by the connection's end.
class HealthWatch final : public CallHandler {
 public:
  explicit HealthWatch(ServerCallPtr call) : call_(std::move(call)) {}
  void OnMessage(absl::string_view message) override {
    HealthCheckRequest request;
    if (!ParseRequest(message, request)) {
      return call_->Finish(BadMessage());
    }
    call_->Send(EncodeHealth(request.service().empty() ? HealthCheckResponse::SERVING
                                                       : HealthCheckResponse::SERVICE_UNKNOWN));
  }

 private:
  const ServerCallPtr call_;
};

}  // namespace

void AddHealthService(ServiceContext& context, std::vector<Method>& methods) {
  methods.push_back(UnaryMethod<HealthCheckRequest>(
      context, "/grpc.health.v1.Health/Check",
      [](const UnaryCallPtr& call, const HealthCheckRequest& request, size_t) {
        if (!request.service().empty()) return call->Refuse(absl::NotFoundError("unknown service"));
        call->Reply(EncodeHealth(HealthCheckResponse::SERVING));
      }));
  methods.push_back(UnaryMethod<HealthListRequest>(
      context, "/grpc.health.v1.Health/List",
      [](const UnaryCallPtr& call, const HealthListRequest&, size_t) {
        HealthListResponse response;
        (*response.mutable_statuses())[""].set_status(HealthCheckResponse::SERVING);
        call->Reply(Encode(response));
      }));
  methods.push_back(
      {.path = "/grpc.health.v1.Health/Watch",
       .kind = CallKind::kServerStream,
       .start = [](ServerCallPtr call) { return std::make_unique<HealthWatch>(std::move(call)); },
       .lasting = true});
}

}  // namespace tidemark::server
