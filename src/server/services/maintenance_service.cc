// etcdserverpb.Maintenance.
#include <utility>

#include "absl/strings/str_cat.h"
#include "src/server/services/services.h"
#include "src/server/services/unary_call.h"

namespace tidemark::server {
namespace {

using partition::AlarmEntry;
using partition::HashKvResult;
using partition::Nothing;

ByteChain EncodeStatus(ServiceContext& context) {
  context.RefreshTerm();
  partition::NodeStatus status = context.router().Status();
  etcdserverpb::StatusResponse response;
  Header header = context.MakeHeader(status.revision);
  SetHeader(header, response);
  response.set_version(context.options().version);
  response.set_storageversion(context.options().storage_version);
  response.set_dbsize(status.logical_bytes);
  response.set_dbsizeinuse(status.logical_live_bytes);
  response.set_dbsizequota(status.quota_bytes);
  response.set_leader(context.HasLeader() ? context.options().member_id : 0);
  response.set_raftindex(status.committed.value());
  response.set_raftappliedindex(status.applied.value());
  response.set_raftterm(header.term);
  if (!context.HasLeader()) response.add_errors("etcdserver: no leader");
  for (const AlarmEntry& alarm : status.alarms) {
    response.add_errors(absl::StrCat("memberID:", alarm.member_id,
                                     " alarm:", etcdserverpb::AlarmType_Name(alarm.type)));
  }
  response.mutable_downgradeinfo();
  return Encode(response);
}

void AddAlarm(ServiceContext& context, std::vector<Method>& methods) {
  methods.push_back(UnaryMethod<etcdserverpb::AlarmRequest>(
      context, "/etcdserverpb.Maintenance/Alarm",
      [&context](const UnaryCallPtr& call, etcdserverpb::AlarmRequest request, size_t) {
        context.router().Alarm(std::move(request),
                               call->Answer<std::vector<AlarmEntry>>(
                                   [](const Header& header, const std::vector<AlarmEntry>& alarms) {
                                     etcdserverpb::AlarmResponse response;
                                     SetHeader(header, response);
                                     for (const AlarmEntry& alarm : alarms) {
                                       auto* entry = response.add_alarms();
                                       entry->set_memberid(alarm.member_id);
                                       entry->set_alarm(alarm.type);
                                     }
                                     return Encode(response);
                                   }));
      }));
}

void AddHashes(ServiceContext& context, std::vector<Method>& methods) {
  methods.push_back(UnaryMethod<etcdserverpb::HashKVRequest>(
      context, "/etcdserverpb.Maintenance/HashKV",
      [&context](const UnaryCallPtr& call, const etcdserverpb::HashKVRequest& request, size_t) {
        context.router().HashKv(
            Revision(request.revision()),
            call->Answer<HashKvResult>([](const Header& header, const HashKvResult& result) {
              etcdserverpb::HashKVResponse response;
              SetHeader(header, response);
              response.set_hash(result.hash);
              response.set_compact_revision(result.compact_revision.value());
              response.set_hash_revision(result.hash_revision.value());
              return Encode(response);
            }));
      },
      TimeLimit::kNone));
  // Over the whole database; only equality among members counts, so the key-value hash serves.
  methods.push_back(UnaryMethod<etcdserverpb::HashRequest>(
      context, "/etcdserverpb.Maintenance/Hash",
      [&context](const UnaryCallPtr& call, const etcdserverpb::HashRequest&, size_t) {
        context.router().HashKv(
            Revision(0),
            call->Answer<HashKvResult>([](const Header& header, const HashKvResult& result) {
              etcdserverpb::HashResponse response;
              SetHeader(header, response);
              response.set_hash(result.hash);
              return Encode(response);
            }));
      },
      TimeLimit::kNone));
}

}  // namespace

void AddMaintenanceService(ServiceContext& context, std::vector<Method>& methods) {
  methods.push_back(UnaryMethod<etcdserverpb::StatusRequest>(
      context, "/etcdserverpb.Maintenance/Status",
      [&context](const UnaryCallPtr& call, const etcdserverpb::StatusRequest&, size_t) {
        call->Reply(EncodeStatus(context));
      }));
  AddAlarm(context, methods);
  AddHashes(context, methods);
  // The answer has no header (contract 1.2).
  methods.push_back(UnaryMethod<etcdserverpb::DefragmentRequest>(
      context, "/etcdserverpb.Maintenance/Defragment",
      [&context](const UnaryCallPtr& call, const etcdserverpb::DefragmentRequest&, size_t) {
        context.router().Defragment(
            call->Answer<Nothing>([](const Header&, const Nothing&) { return ByteChain(); }));
      },
      TimeLimit::kNone));
}

}  // namespace tidemark::server
