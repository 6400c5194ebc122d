// etcdserverpb.Lease.
#include <utility>

#include "src/server/services/lease_keep_alive.h"
#include "src/server/services/services.h"
#include "src/server/services/unary_call.h"

namespace tidemark::server {
namespace {

using partition::LeaseGranted;
using partition::LeaseLife;
using partition::Nothing;

void AddGrantAndRevoke(ServiceContext& context, std::vector<Method>& methods) {
  methods.push_back(UnaryMethod<etcdserverpb::LeaseGrantRequest>(
      context, "/etcdserverpb.Lease/LeaseGrant",
      [&context](const UnaryCallPtr& call, const etcdserverpb::LeaseGrantRequest& request, size_t) {
        context.router().LeaseGrant(
            request.id(), request.ttl(),
            call->Answer<LeaseGranted>([&context](const Header& header, const LeaseGranted& lease) {
              context.counters().leases_granted.fetch_add(1, std::memory_order_relaxed);
              const auto& observe_ttl = context.options().observe_lease_ttl;
              if (observe_ttl) observe_ttl(lease.ttl_seconds);
              return EncodeLease(header, lease.id.value(), lease.ttl_seconds);
            }));
      }));
  methods.push_back(UnaryMethod<etcdserverpb::LeaseRevokeRequest>(
      context, "/etcdserverpb.Lease/LeaseRevoke",
      [&context](const UnaryCallPtr& call, const etcdserverpb::LeaseRevokeRequest& request,
                 size_t) {
        context.router().LeaseRevoke(
            LeaseId(request.id()),
            call->Answer<Nothing>([&context](const Header& header, const Nothing&) {
              context.counters().leases_revoked.fetch_add(1, std::memory_order_relaxed);
              return EncodeHeaderOnly(header);
            }));
      }));
}

void AddQuestions(ServiceContext& context, std::vector<Method>& methods) {
  methods.push_back(UnaryMethod<etcdserverpb::LeaseTimeToLiveRequest>(
      context, "/etcdserverpb.Lease/LeaseTimeToLive",
      [&context](const UnaryCallPtr& call, const etcdserverpb::LeaseTimeToLiveRequest& request,
                 size_t) {
        context.router().LeaseTimeToLive(
            LeaseId(request.id()), request.keys(),
            call->Answer<LeaseLife>([](const Header& header, const LeaseLife& lease) {
              etcdserverpb::LeaseTimeToLiveResponse response;
              SetHeader(header, response);
              response.set_id(lease.id.value());
              response.set_ttl(lease.remaining_seconds);
              response.set_grantedttl(lease.granted_seconds);
              for (const std::string& key : lease.keys) response.add_keys(key);
              return Encode(response);
            }));
      }));
  methods.push_back(UnaryMethod<etcdserverpb::LeaseLeasesRequest>(
      context, "/etcdserverpb.Lease/LeaseLeases",
      [&context](const UnaryCallPtr& call, const etcdserverpb::LeaseLeasesRequest&, size_t) {
        context.router().LeaseLeases(call->Answer<std::vector<LeaseId>>(
            [](const Header& header, const std::vector<LeaseId>& leases) {
              etcdserverpb::LeaseLeasesResponse response;
              SetHeader(header, response);
              for (LeaseId id : leases) response.add_leases()->set_id(id.value());
              return Encode(response);
            }));
      }));
}

}  // namespace

void AddLeaseService(ServiceContext& context, std::vector<Method>& methods) {
  AddGrantAndRevoke(context, methods);
  AddQuestions(context, methods);
  methods.push_back(
      {.path = "/etcdserverpb.Lease/LeaseKeepAlive",
       .kind = CallKind::kBidiStream,
       .start =
           [&context](ServerCallPtr call) { return StartLeaseKeepAlive(context, std::move(call)); },
       .lasting = true});
}

}  // namespace tidemark::server
