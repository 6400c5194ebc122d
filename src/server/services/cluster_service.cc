// etcdserverpb.Cluster, as far as a single node has one.
#include <utility>

#include "src/server/services/services.h"
#include "src/server/services/unary_call.h"

namespace tidemark::server {
namespace {

ByteChain EncodeMembers(const ServiceContext& context, Header header) {
  header.revision = Revision(0);
  etcdserverpb::MemberListResponse response;
  SetHeader(header, response);
  const ServiceOptions& options = context.options();
  etcdserverpb::Member& member = *response.add_members();
  member.set_id(options.member_id);
  member.set_name(options.name);
  for (const std::string& url : options.peer_urls) member.add_peerurls(url);
  for (const std::string& url : options.client_urls) member.add_clienturls(url);
  return Encode(response);
}

}  // namespace

void AddClusterService(ServiceContext& context, std::vector<Method>& methods) {
  methods.push_back(UnaryMethod<etcdserverpb::MemberListRequest>(
      context, "/etcdserverpb.Cluster/MemberList",
      [&context](const UnaryCallPtr& call, const etcdserverpb::MemberListRequest& request, size_t) {
        if (!request.linearizable()) {
          return call->Reply(EncodeMembers(context, context.MakeHeader(Revision(0))));
        }
        context.router().Barrier(call->Answer<partition::Nothing>(
            [&context](const Header& header, const partition::Nothing&) {
              return EncodeMembers(context, header);
            }));
      }));
}

}  // namespace tidemark::server
