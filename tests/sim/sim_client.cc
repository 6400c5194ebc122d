#include "tests/sim/sim_client.h"

#include <set>

#include "absl/strings/str_cat.h"
#include "src/server/services/reply_encoder.h"

namespace tidemark::sim {
namespace {

const char* const kPrefixes[] = {"/registry/pods/",   "/registry/minions/",    "/registry/leases/",
                                 "/registry/events/", "/registry/configmaps/", ""};

template <typename Response>
Response Parse(const ByteChain& bytes) {
  Response response;
  CHECK(response.ParseFromString(bytes.Flatten()));
  return response;
}

server::Header HeaderOf(Revision revision) { return {.revision = revision}; }

}  // namespace

SimClient::SimClient(int id, World& world, SimNode& node, NetworkKnobs network, SharedView& view,
                     std::vector<Operation>& history)
    : id_(id), world_(world), node_(node), network_(network), view_(view), history_(history) {}

void SimClient::Begin() {
  waiting_ = true;
  world_.At(world_.clock().Monotonic() + Delay(), [this] { Next(); });
}

absl::Duration SimClient::Delay() {
  return absl::Microseconds(1 + Below(absl::ToInt64Microseconds(network_.delay_max)));
}

bool SimClient::Lost() {
  return network_.lose_one_in != 0 && DrawOneIn(world_.random(), network_.lose_one_in);
}

std::string SimClient::DrawKey() {
  return absl::StrCat(kPrefixes[Below(6)], std::string(1, static_cast<char>('a' + Below(4))));
}

int64_t SimClient::DrawLease() {
  if (view_.leases.empty()) return 0;
  return view_.leases[view_.leases.size() - 1 - Below(std::min<size_t>(6, view_.leases.size()))];
}

void SimClient::DrawRange(std::string* key, std::string* end) {
  switch (Below(4)) {
    case 0:
      *key = std::string(1, '\0');
      *end = std::string(1, '\0');
      break;
    case 1:
      *key = "/registry/";
      *end = "/registry0";
      break;
    default:
      *key = kPrefixes[Below(5)];
      *end = *key;
      ++end->back();
  }
}

etcdserverpb::TxnRequest SimClient::DrawTxn() {
  etcdserverpb::TxnRequest txn;
  std::set<std::string> keys;
  for (uint64_t i = 1 + Below(3); i > 0; --i) keys.insert(DrawKey());
  if (Below(5) != 0) {
    etcdserverpb::Compare* compare = txn.add_compare();
    compare->set_key(*keys.begin());
    compare->set_target(etcdserverpb::Compare::MOD);
    compare->set_result(Below(3) == 0 ? etcdserverpb::Compare::LESS : etcdserverpb::Compare::EQUAL);
    compare->set_mod_revision(Below(2) == 0 ? 0 : view_.revision - Below(20));
  }
  if (Below(3) == 0) txn.add_success()->mutable_request_range()->set_key(DrawKey());
  for (const std::string& key : keys) {
    if (Below(4) == 0) {
      txn.add_success()->mutable_request_delete_range()->set_key(key);
      continue;
    }
    etcdserverpb::PutRequest* put = txn.add_success()->mutable_request_put();
    put->set_key(key);
    put->set_value(absl::StrCat("c", id_, "-", number_));
  }
  txn.add_failure()->mutable_request_range()->set_key(*keys.begin());
  return txn;
}

ClientRequest SimClient::Draw() {
  const uint64_t kind = Below(100);
  if (kind < 35) {
    etcdserverpb::PutRequest put;
    put.set_key(DrawKey());
    put.set_value(absl::StrCat("c", id_, "-", number_, std::string(Below(200), 'x')));
    put.set_prev_kv(Below(2) == 0);
    if (Below(4) == 0) put.set_lease(DrawLease());
    return put;
  }
  if (kind < 60) {
    etcdserverpb::RangeRequest range;
    if (Below(2) == 0)
      range.set_key(DrawKey());
    else
      DrawRange(range.mutable_key(), range.mutable_range_end());
    if (Below(4) == 0) range.set_revision(std::max<int64_t>(1, view_.revision - Below(30)));
    if (Below(3) == 0) range.set_limit(1 + Below(5));
    range.set_keys_only(Below(8) == 0);
    range.set_count_only(Below(10) == 0);
    if (Below(8) == 0) range.set_sort_order(etcdserverpb::RangeRequest::DESCEND);
    return range;
  }
  if (kind < 82) return DrawTxn();
  if (kind < 88) {
    etcdserverpb::DeleteRangeRequest removed;
    if (Below(3) != 0)
      removed.set_key(DrawKey());
    else
      DrawRange(removed.mutable_key(), removed.mutable_range_end());
    removed.set_prev_kv(Below(2) == 0);
    return removed;
  }
  if (kind < 91) {
    etcdserverpb::CompactionRequest compaction;
    // A delete at exactly the compact revision is a special case (etcd #17780, #18089).
    compaction.set_revision(Below(2) == 0 && view_.deleted > view_.compacted
                                ? view_.deleted
                                : std::max<int64_t>(1, view_.revision - Below(15)));
    compaction.set_physical(Below(2) == 0);
    return compaction;
  }
  if (kind < 95) {
    etcdserverpb::LeaseGrantRequest grant;
    grant.set_id(1000000 * (id_ + 1) + number_);
    grant.set_ttl(2 + Below(4));
    return grant;
  }
  if (kind < 97) {
    etcdserverpb::LeaseRevokeRequest revoke;
    revoke.set_id(DrawLease());
    return revoke;
  }
  etcdserverpb::LeaseKeepAliveRequest alive;
  alive.set_id(DrawLease());
  return alive;
}

void SimClient::Next() {
  if (view_.stopping) {
    waiting_ = false;
    return;
  }
  ++number_;
  current_ = history_.size();
  Operation operation;
  operation.client = id_;
  operation.called = world_.clock().Monotonic();
  operation.request = Draw();
  history_.push_back(operation);
  if (!Lost()) {
    world_.At(world_.clock().Monotonic() + Delay(),
              [this, request = operation.request, index = current_] { Deliver(request, index); });
  }
  world_.At(world_.clock().Monotonic() + network_.give_up,
            [this, index = current_] { Finish(index); });
}

// The next request follows the answer, or giving up, once.
void SimClient::Finish(size_t index) {
  if (index != current_ || !waiting_) return;
  current_ = SIZE_MAX;
  // Short bursts: a quick network must not make a run of a hundred thousand requests.
  const absl::Duration pause = Below(4) == 0 ? absl::Microseconds(Below(200'000)) : Delay();
  world_.At(world_.clock().Monotonic() + pause, [this] { Next(); });
}

void SimClient::Answer(size_t index, absl::Status status, int64_t revision,
                       ClientResponse response) {
  if (Lost()) return;
  world_.At(world_.clock().Monotonic() + Delay(),
            [this, index, status, revision, response = std::move(response)] {
              if (index != current_) return;  // gave up before
              Operation& operation = history_[index];
              operation.returned = world_.clock().Monotonic();
              operation.status = status;
              operation.revision = revision;
              operation.response = response;
              if (status.ok()) Learn(operation);
              world_.Note(absl::StrCat("answer ", index, " @", revision));
              Finish(index);
            });
}

void SimClient::Learn(const Operation& operation) {
  view_.revision = std::max(view_.revision, operation.revision);
  if (auto* grant = std::get_if<etcdserverpb::LeaseGrantRequest>(&operation.request)) {
    view_.leases.push_back(grant->id());
  } else if (auto* compaction = std::get_if<etcdserverpb::CompactionRequest>(&operation.request)) {
    view_.compacted = std::max(view_.compacted, compaction->revision());
  } else if (auto* removed = std::get_if<etcdserverpb::DeleteRangeResponse>(&operation.response)) {
    if (removed->deleted() > 0) view_.deleted = std::max(view_.deleted, operation.revision);
  }
}

void SimClient::Deliver(ClientRequest request, size_t index) {
  if (!node_.answering()) {
    Answer(index, absl::UnavailableError("connection refused"), 0, {});
    return;
  }
  // Converts on the store's sequence, as the server encodes; the answer travels on its own.
  auto reply = [this, index](auto convert) {
    return [this, index, convert](auto result) {
      if (!result.ok())
        Answer(index, result.status(), 0, {});
      else
        Answer(index, absl::OkStatus(), result->revision.value(), convert(*result));
    };
  };
  node_.loop().Post([this, request = std::move(request), reply]() mutable {
    partition::Router& router = node_.router();
    partition::CallContext context;
    if (auto* range = std::get_if<etcdserverpb::RangeRequest>(&request)) {
      router.Range(context, std::move(*range), reply([](auto& r) -> ClientResponse {
                     return Parse<etcdserverpb::RangeResponse>(
                         server::EncodeRange(HeaderOf(r.revision), r.result));
                   }));
    } else if (auto* put = std::get_if<etcdserverpb::PutRequest>(&request)) {
      router.Put(context, std::move(*put), reply([](auto& r) -> ClientResponse {
                   return Parse<etcdserverpb::PutResponse>(
                       server::EncodePut(HeaderOf(r.revision), r.result));
                 }));
    } else if (auto* removed = std::get_if<etcdserverpb::DeleteRangeRequest>(&request)) {
      router.DeleteRange(context, std::move(*removed), reply([](auto& r) -> ClientResponse {
                           return Parse<etcdserverpb::DeleteRangeResponse>(
                               server::EncodeDelete(HeaderOf(r.revision), r.result));
                         }));
    } else if (auto* txn = std::get_if<etcdserverpb::TxnRequest>(&request)) {
      router.Txn(context, std::move(*txn), reply([](auto& r) -> ClientResponse {
                   return Parse<etcdserverpb::TxnResponse>(
                       server::EncodeTxn(HeaderOf(r.revision), r.result));
                 }));
    } else if (auto* compaction = std::get_if<etcdserverpb::CompactionRequest>(&request)) {
      router.Compact(context, std::move(*compaction),
                     reply([](auto&) -> ClientResponse { return {}; }));
    } else if (auto* grant = std::get_if<etcdserverpb::LeaseGrantRequest>(&request)) {
      router.LeaseGrant(grant->id(), grant->ttl(),
                        reply([](auto&) -> ClientResponse { return {}; }));
    } else if (auto* revoke = std::get_if<etcdserverpb::LeaseRevokeRequest>(&request)) {
      router.LeaseRevoke(LeaseId(revoke->id()), reply([](auto&) -> ClientResponse { return {}; }));
    } else if (auto* alive = std::get_if<etcdserverpb::LeaseKeepAliveRequest>(&request)) {
      router.LeaseKeepAlive(LeaseId(alive->id()), reply([](auto& r) -> ClientResponse {
                              etcdserverpb::LeaseKeepAliveResponse response;
                              response.set_id(r.result.id.value());
                              response.set_ttl(r.result.ttl_seconds);
                              return response;
                            }));
    }
  });
}

}  // namespace tidemark::sim
