#include "tests/sim/model.h"

#include <set>

#include "src/base/check.h"

namespace tidemark::sim {

bool InRange(const std::string& candidate, const std::string& key, const std::string& range_end) {
  if (range_end.empty()) return candidate == key;
  if (range_end == std::string(1, '\0')) return candidate >= key;
  return candidate >= key && candidate < range_end;
}

void Model::Apply(const std::vector<ModelChange>& changes) {
  ++revision_;
  changes_[revision_] = changes;
  for (const ModelChange& change : changes) {
    std::optional<mvccpb::KeyValue> before = Get(change.key, revision_);
    std::vector<Version>& versions = versions_[change.key];
    if (change.is_delete) {
      CHECK_MSG(before.has_value(), "the journal deletes a key that is not there");
      versions.push_back({revision_, std::nullopt});
      continue;
    }
    mvccpb::KeyValue kv;
    kv.set_key(change.key);
    kv.set_value(change.value);
    kv.set_lease(change.lease);
    kv.set_mod_revision(revision_);
    kv.set_create_revision(before ? before->create_revision() : revision_);
    kv.set_version(before ? before->version() + 1 : 1);
    versions.push_back({revision_, kv});
  }
}

const std::vector<ModelChange>& Model::ChangesAt(int64_t revision) const {
  return changes_.at(revision);
}

std::optional<mvccpb::KeyValue> Model::Get(const std::string& key, int64_t at) const {
  auto found = versions_.find(key);
  if (found == versions_.end()) return std::nullopt;
  std::optional<mvccpb::KeyValue> kv;
  for (const Version& version : found->second) {
    if (version.main <= at) kv = version.kv;
  }
  return kv;
}

std::vector<mvccpb::KeyValue> Model::Range(const std::string& key, const std::string& range_end,
                                           int64_t at) const {
  std::vector<mvccpb::KeyValue> kvs;
  for (const auto& [candidate, versions] : versions_) {
    if (!InRange(candidate, key, range_end)) continue;
    if (auto kv = Get(candidate, at)) kvs.push_back(*kv);
  }
  return kvs;
}

etcdserverpb::RangeResponse Model::Answer(const etcdserverpb::RangeRequest& request,
                                          int64_t at) const {
  etcdserverpb::RangeResponse response;
  response.mutable_header()->set_revision(at);
  const int64_t read_at = request.revision() > 0 ? request.revision() : at;
  std::vector<mvccpb::KeyValue> kvs = Range(request.key(), request.range_end(), read_at);
  response.set_count(kvs.size());
  if (request.count_only()) return response;
  if (request.sort_order() == etcdserverpb::RangeRequest::DESCEND) {
    std::reverse(kvs.begin(), kvs.end());
  }
  for (mvccpb::KeyValue& kv : kvs) {
    if (request.limit() > 0 && response.kvs_size() == request.limit()) {
      response.set_more(true);
      break;
    }
    if (request.keys_only()) {
      kv.clear_value();
      kv.clear_lease();
    }
    *response.add_kvs() = kv;
  }
  return response;
}

Model::Written Model::Evaluate(const etcdserverpb::PutRequest& request, int64_t at) const {
  Written written;
  written.changes.push_back({request.key(), false, request.value(), request.lease()});
  written.put.mutable_header()->set_revision(at + 1);
  if (auto before = Get(request.key(), at); before && request.prev_kv()) {
    *written.put.mutable_prev_kv() = *before;
  }
  return written;
}

Model::Written Model::Evaluate(const etcdserverpb::DeleteRangeRequest& request, int64_t at) const {
  Written written;
  for (const mvccpb::KeyValue& kv : Range(request.key(), request.range_end(), at)) {
    written.changes.push_back({kv.key(), true, "", 0});
    if (request.prev_kv()) *written.removed.add_prev_kvs() = kv;
  }
  written.removed.set_deleted(written.changes.size());
  written.removed.mutable_header()->set_revision(written.changes.empty() ? at : at + 1);
  return written;
}

bool Model::Holds(const etcdserverpb::Compare& compare, int64_t at) const {
  const std::optional<mvccpb::KeyValue> kv = Get(compare.key(), at);
  auto check = [&](auto have, auto want) {
    switch (compare.result()) {
      case etcdserverpb::Compare::EQUAL:
        return have == want;
      case etcdserverpb::Compare::GREATER:
        return have > want;
      case etcdserverpb::Compare::LESS:
        return have < want;
      default:
        return have != want;
    }
  };
  switch (compare.target()) {
    case etcdserverpb::Compare::VALUE:
      return kv && check(kv->value(), compare.value());
    case etcdserverpb::Compare::MOD:
      return check(kv ? kv->mod_revision() : 0, compare.mod_revision());
    case etcdserverpb::Compare::CREATE:
      return check(kv ? kv->create_revision() : 0, compare.create_revision());
    default:
      return check(kv ? kv->version() : 0, compare.version());
  }
}

// The clients' transactions touch each key once at most, so that every operation can be evaluated
// against the state before the transaction; ranges in them come before changes.
Model::Written Model::Evaluate(const etcdserverpb::TxnRequest& request, int64_t at) const {
  Written written;
  bool succeeded = true;
  for (const etcdserverpb::Compare& compare : request.compare()) succeeded &= Holds(compare, at);
  written.txn.set_succeeded(succeeded);
  for (const etcdserverpb::RequestOp& op : succeeded ? request.success() : request.failure()) {
    etcdserverpb::ResponseOp* response = written.txn.add_responses();
    if (op.has_request_range()) {
      *response->mutable_response_range() = Answer(op.request_range(), at);
      continue;
    }
    Written part = op.has_request_put() ? Evaluate(op.request_put(), at)
                                        : Evaluate(op.request_delete_range(), at);
    for (ModelChange& change : part.changes) written.changes.push_back(std::move(change));
    if (op.has_request_put()) {
      *response->mutable_response_put() = part.put;
    } else {
      *response->mutable_response_delete_range() = part.removed;
      // Its header shows begin + 1 once anything before it in the transaction has changed.
      if (!written.changes.empty()) {
        response->mutable_response_delete_range()->mutable_header()->set_revision(at + 1);
      }
    }
  }
  written.txn.mutable_header()->set_revision(written.changes.empty() ? at : at + 1);
  return written;
}

}  // namespace tidemark::sim
