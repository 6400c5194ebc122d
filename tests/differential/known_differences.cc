#include "tests/differential/known_differences.h"

#include <algorithm>

namespace tidemark::differential {
namespace {

using etcdserverpb::RangeRequest;
using etcdserverpb::RangeResponse;

// Ids are drawn per cluster, terms count elections.
template <typename Response>
void ForgetIdentity(Response* response) {
  if (!response->has_header()) return;
  response->mutable_header()->clear_cluster_id();
  response->mutable_header()->clear_member_id();
  response->mutable_header()->clear_raft_term();
}

bool SortsByValueLike(const RangeRequest& request) {
  return request.sort_target() != RangeRequest::KEY;
}

// etcd sorts ties unstably beyond 12 elements, so which of equal elements come first, and which of
// them a limit cuts, is open. Equal elements are put in key order; with a limit only what is the
// same under every tie order is kept.
void OrderTies(const RangeRequest& request, RangeResponse* response) {
  if (!SortsByValueLike(request)) return;
  auto target = [&](const mvccpb::KeyValue& kv) -> std::string {
    switch (request.sort_target()) {
      case RangeRequest::VERSION:
        return std::to_string(kv.version());
      case RangeRequest::CREATE:
        return std::to_string(kv.create_revision());
      case RangeRequest::MOD:
        return std::to_string(kv.mod_revision());
      default:
        return kv.value();
    }
  };
  auto* kvs = response->mutable_kvs();
  if (request.limit() > 0) {
    for (mvccpb::KeyValue& kv : *kvs) {
      mvccpb::KeyValue only_target;
      only_target.set_value(target(kv));
      kv = only_target;
    }
    return;
  }
  for (auto begin = kvs->begin(); begin != kvs->end();) {
    auto end = std::find_if(begin, kvs->end(),
                            [&](const auto& kv) { return target(kv) != target(*begin); });
    std::sort(begin, end, [](const auto& a, const auto& b) { return a.key() < b.key(); });
    begin = end;
  }
}

void ForTxn(const google::protobuf::RepeatedPtrField<etcdserverpb::RequestOp>& requests,
            EtcdLine line,
            google::protobuf::RepeatedPtrField<etcdserverpb::ResponseOp>* responses) {
  for (int i = 0; i < responses->size() && i < requests.size(); ++i) {
    etcdserverpb::ResponseOp& op = *responses->Mutable(i);
    if (op.has_response_range()) {
      RemoveKnownDifferences(requests[i].request_range(), line, op.mutable_response_range());
    } else if (op.has_response_txn()) {
      const etcdserverpb::TxnRequest& txn = requests[i].request_txn();
      ForTxn(op.response_txn().succeeded() ? txn.success() : txn.failure(), line,
             op.mutable_response_txn()->mutable_responses());
    }
  }
}

}  // namespace

void RemoveKnownDifferences(const RangeRequest& request, EtcdLine line, RangeResponse* response) {
  ForgetIdentity(response);
  OrderTies(request, response);
  // 3.4 returns the lease with keys_only, 3.7 does not; clients know both.
  if (line == EtcdLine::k34 && request.keys_only()) {
    for (mvccpb::KeyValue& kv : *response->mutable_kvs()) kv.clear_lease();
  }
}

void RemoveKnownDifferences(EtcdLine, etcdserverpb::WatchResponse* response) {
  ForgetIdentity(response);
}

void RemoveKnownDifferences(const Request& request, EtcdLine line, Answer* answer) {
  google::protobuf::Message* message = answer->response.get();
  if (auto* range = dynamic_cast<RangeResponse*>(message)) {
    RemoveKnownDifferences(std::get<RangeRequest>(request), line, range);
  } else if (auto* put = dynamic_cast<etcdserverpb::PutResponse*>(message)) {
    ForgetIdentity(put);
  } else if (auto* removed = dynamic_cast<etcdserverpb::DeleteRangeResponse*>(message)) {
    ForgetIdentity(removed);
  } else if (auto* txn = dynamic_cast<etcdserverpb::TxnResponse*>(message)) {
    ForgetIdentity(txn);
    const auto& sent = std::get<etcdserverpb::TxnRequest>(request);
    ForTxn(txn->succeeded() ? sent.success() : sent.failure(), line, txn->mutable_responses());
  } else if (auto* compaction = dynamic_cast<etcdserverpb::CompactionResponse*>(message)) {
    ForgetIdentity(compaction);
  } else if (auto* grant = dynamic_cast<etcdserverpb::LeaseGrantResponse*>(message)) {
    ForgetIdentity(grant);
  } else if (auto* revoke = dynamic_cast<etcdserverpb::LeaseRevokeResponse*>(message)) {
    ForgetIdentity(revoke);
  } else if (auto* life = dynamic_cast<etcdserverpb::LeaseTimeToLiveResponse*>(message)) {
    ForgetIdentity(life);
    // Time passes between the two servers' answers; the test's TTLs are far above its run time.
    if (life->ttl() > 0) life->set_ttl(life->grantedttl() - life->ttl() < 600 ? 1 : 2);
    std::sort(life->mutable_keys()->begin(), life->mutable_keys()->end());  // order is open
  } else if (auto* alive = dynamic_cast<etcdserverpb::LeaseKeepAliveResponse*>(message)) {
    ForgetIdentity(alive);
  } else if (auto* leases = dynamic_cast<etcdserverpb::LeaseLeasesResponse*>(message)) {
    ForgetIdentity(leases);
    std::sort(leases->mutable_leases()->begin(), leases->mutable_leases()->end(),
              [](const auto& a, const auto& b) { return a.id() < b.id(); });  // order is open
  } else if (auto* hash = dynamic_cast<etcdserverpb::HashKVResponse*>(message)) {
    ForgetIdentity(hash);
  } else if (auto* alarm = dynamic_cast<etcdserverpb::AlarmResponse*>(message)) {
    ForgetIdentity(alarm);
  }
}

// 3.4 looks at all puts of a txn before it looks at its ranges, 3.7 at the operations in order; so
// of several faults that depend on state (revisions, leases, keys to keep) 3.4 may name another
// one.
bool SameRefusal(EtcdLine line, const Request& request, const grpc::Status& etcd,
                 const grpc::Status& tidemark) {
  if (etcd.error_code() == tidemark.error_code() &&
      etcd.error_message() == tidemark.error_message()) {
    return true;
  }
  auto depends_on_state = [](const grpc::Status& status) {
    const std::string& text = status.error_message();
    return text == "etcdserver: mvcc: required revision has been compacted" ||
           text == "etcdserver: mvcc: required revision is a future revision" ||
           text == "etcdserver: requested lease not found" || text == "etcdserver: key not found";
  };
  return line == EtcdLine::k34 && std::holds_alternative<etcdserverpb::TxnRequest>(request) &&
         depends_on_state(etcd) && depends_on_state(tidemark);
}

bool Comparable(const Request& request, EtcdLine line) {
  if (line == EtcdLine::k37) return true;
  // 3.4's hash covers other data and lacks hash_revision.
  if (std::holds_alternative<etcdserverpb::HashKVRequest>(request)) return false;
  return true;
}

}  // namespace tidemark::differential
