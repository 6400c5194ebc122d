// etcdserverpb.Auth of a store whose authentication cannot be switched on yet: it is off, and says
// so as etcd does. A client that was given a user and a password asks before anything else, and
// goes on without (contract 7.2).
#include "src/kvstore/etcd_errors.h"
#include "src/server/services/services.h"
#include "src/server/services/unary_call.h"

namespace tidemark::server {
namespace {

// etcd's, before anything of authentication was changed.
constexpr uint64_t kFirstAuthRevision = 1;

}  // namespace

void AddAuthService(ServiceContext& context, std::vector<Method>& methods) {
  methods.push_back(UnaryMethod<etcdserverpb::AuthenticateRequest>(
      context, "/etcdserverpb.Auth/Authenticate",
      [](const UnaryCallPtr& call, const etcdserverpb::AuthenticateRequest&, size_t) {
        call->Refuse(kvstore::ErrAuthNotEnabled());
      }));
  methods.push_back(UnaryMethod<etcdserverpb::AuthStatusRequest>(
      context, "/etcdserverpb.Auth/AuthStatus",
      [&context](const UnaryCallPtr& call, const etcdserverpb::AuthStatusRequest&, size_t) {
        context.router().Barrier(
            call->Answer<partition::Nothing>([](const Header& header, const partition::Nothing&) {
              etcdserverpb::AuthStatusResponse response;
              SetHeader(header, response);
              response.set_authrevision(kFirstAuthRevision);
              return Encode(response);
            }));
      }));
}

}  // namespace tidemark::server
