#include "src/server/services/services.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "src/base/check.h"

namespace tidemark::server {
namespace {

class Unimplemented final : public CallHandler {
 public:
  Unimplemented(ServerCallPtr call, absl::string_view what) : call_(std::move(call)), what_(what) {}
  void OnMessage(absl::string_view) override {
    call_->Finish(absl::UnimplementedError(
        absl::StrCat("not implemented by this version of Tidemark: ", what_)));
  }

 private:
  const ServerCallPtr call_;
  const absl::string_view what_;
};

struct Missing {
  const char* path;
  const char* what;
  CallKind kind = CallKind::kUnary;
};

constexpr Missing kMissing[] = {
    {"/etcdserverpb.Cluster/MemberAdd", "adding members"},
    {"/etcdserverpb.Cluster/MemberRemove", "removing members"},
    {"/etcdserverpb.Cluster/MemberUpdate", "updating members"},
    {"/etcdserverpb.Cluster/MemberPromote", "promoting learners"},
    {"/etcdserverpb.Maintenance/Snapshot", "snapshots", CallKind::kServerStream},
    {"/etcdserverpb.Maintenance/MoveLeader", "moving the leader"},
    {"/etcdserverpb.Maintenance/Downgrade", "downgrade"},
    {"/etcdserverpb.Auth/AuthEnable", "auth"},
    {"/etcdserverpb.Auth/AuthDisable", "auth"},
    {"/etcdserverpb.Auth/UserAdd", "auth"},
    {"/etcdserverpb.Auth/UserGet", "auth"},
    {"/etcdserverpb.Auth/UserList", "auth"},
    {"/etcdserverpb.Auth/UserDelete", "auth"},
    {"/etcdserverpb.Auth/UserChangePassword", "auth"},
    {"/etcdserverpb.Auth/UserGrantRole", "auth"},
    {"/etcdserverpb.Auth/UserRevokeRole", "auth"},
    {"/etcdserverpb.Auth/RoleAdd", "auth"},
    {"/etcdserverpb.Auth/RoleGet", "auth"},
    {"/etcdserverpb.Auth/RoleList", "auth"},
    {"/etcdserverpb.Auth/RoleDelete", "auth"},
    {"/etcdserverpb.Auth/RoleGrantPermission", "auth"},
    {"/etcdserverpb.Auth/RoleRevokePermission", "auth"},
    {"/v3lockpb.Lock/Lock", "the lock service"},
    {"/v3lockpb.Lock/Unlock", "the lock service"},
    {"/v3electionpb.Election/Campaign", "the election service"},
    {"/v3electionpb.Election/Proclaim", "the election service"},
    {"/v3electionpb.Election/Leader", "the election service"},
    {"/v3electionpb.Election/Observe", "the election service", CallKind::kServerStream},
    {"/v3electionpb.Election/Resign", "the election service"},
};

// Renewing, freeing, and asking how things are.
constexpr absl::string_view kEssential[] = {
    "/etcdserverpb.KV/DeleteRange",       "/etcdserverpb.KV/Compact",
    "/etcdserverpb.Lease/LeaseKeepAlive", "/etcdserverpb.Lease/LeaseRevoke",
    "/etcdserverpb.Cluster/MemberList",   "/etcdserverpb.Maintenance/Alarm",
    "/etcdserverpb.Maintenance/Status",   "/etcdserverpb.Maintenance/Defragment",
    "/etcdserverpb.Maintenance/HashKV",   "/grpc.health.v1.Health/Check",
};

}  // namespace

void AddUnimplemented(std::vector<Method>& methods) {
  for (const Missing& missing : kMissing) {
    methods.push_back({missing.path, missing.kind, [what = missing.what](ServerCallPtr call) {
                         return std::make_unique<Unimplemented>(std::move(call), what);
                       }});
  }
}

std::vector<Method> AllMethods(ServiceContext& context) {
  std::vector<Method> methods;
  AddKvService(context, methods);
  AddWatchService(context, methods);
  AddLeaseService(context, methods);
  AddClusterService(context, methods);
  AddMaintenanceService(context, methods);
  AddAuthService(context, methods);
  AddHealthService(context, methods);
  AddUnimplemented(methods);
  for (absl::string_view path : kEssential) {
    const auto method = std::find_if(methods.begin(), methods.end(),
                                     [path](const Method& m) { return m.path == path; });
    CHECK_MSG(method != methods.end(), path);
    method->essential = true;
  }
  return methods;
}

}  // namespace tidemark::server
