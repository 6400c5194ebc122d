#include "tests/differential/request_generator.h"

#include "absl/strings/str_cat.h"

namespace tidemark::differential {
namespace {

using etcdserverpb::Compare;
using etcdserverpb::RangeRequest;

const char* const kRoots[] = {"/registry/pods/",
                              "/registry/minions/",
                              "/registry/leases/",
                              "/registry/events/",
                              "/registry/configmaps/",
                              "/registry/podtemplates/",
                              "/pods/",
                              ""};

std::string PrefixEnd(std::string prefix) {
  while (!prefix.empty() && static_cast<unsigned char>(prefix.back()) == 0xff) prefix.pop_back();
  if (prefix.empty()) return std::string(1, '\0');
  ++prefix.back();
  return prefix;
}

// etcd's process ends when a put keeps the value or lease of a key that the same txn deleted, so a
// txn that deletes keeps nothing.
void KeepNothing(etcdserverpb::TxnRequest* txn) {
  for (auto* ops : {txn->mutable_success(), txn->mutable_failure()}) {
    for (etcdserverpb::RequestOp& op : *ops) {
      if (op.has_request_txn()) KeepNothing(op.mutable_request_txn());
      if (!op.has_request_put()) continue;
      op.mutable_request_put()->clear_ignore_value();
      op.mutable_request_put()->clear_ignore_lease();
    }
  }
}

bool Deletes(const etcdserverpb::TxnRequest& txn) {
  for (const auto* ops : {&txn.success(), &txn.failure()}) {
    for (const etcdserverpb::RequestOp& op : *ops) {
      if (op.has_request_delete_range()) return true;
      if (op.has_request_txn() && Deletes(op.request_txn())) return true;
    }
  }
  return false;
}

}  // namespace

std::string RequestGenerator::Key() {
  if (Chance(2)) return std::string(1, static_cast<char>(Draw(0, 255)));
  if (Chance(1)) return "/registry/pods";
  const std::string root = kRoots[Draw(0, 7)];
  return absl::StrCat(root, std::string(1, static_cast<char>('a' + Draw(0, 4))));
}

std::string RequestGenerator::Value() {
  if (Chance(10)) return "";
  if (Chance(5)) return std::string(Draw(500, 4000), static_cast<char>(Draw(0, 255)));
  return absl::StrCat("v", Draw(0, 20));
}

int64_t RequestGenerator::Lease() { return Chance(3) ? -Draw(1, 2) : Draw(1, 6); }

int64_t RequestGenerator::AnyRevision() {
  if (Chance(60)) return 0;
  if (Chance(4)) return -Draw(1, 3);
  if (Chance(4)) return revision_ + Draw(1, 3);
  return Draw(std::max<int64_t>(1, revision_ - 60), revision_);
}

template <typename Message>
void RequestGenerator::KeyAndEnd(Message* message, int range_percent) {
  message->set_key(Key());
  if (!Chance(range_percent)) return;
  switch (Draw(0, 5)) {
    case 0:
      message->set_range_end(std::string(1, '\0'));
      break;
    case 1:
      message->set_range_end(Key());  // may be empty or inverted
      break;
    case 2:
      message->set_key("/registry/");
      message->set_range_end("/registry0");
      break;
    case 3:
      message->set_key(std::string(1, '\0'));
      message->set_range_end(std::string(1, '\0'));
      break;
    default:
      message->set_key(kRoots[Draw(0, 6)]);
      message->set_range_end(PrefixEnd(message->key()));
  }
}

RangeRequest RequestGenerator::Range() {
  RangeRequest range;
  KeyAndEnd(&range, 75);
  if (Chance(1)) range.clear_key();
  range.set_revision(AnyRevision());
  if (Chance(40)) range.set_limit(Draw(-1, 8));
  range.set_serializable(Chance(15));
  range.set_keys_only(Chance(15));
  range.set_count_only(Chance(10));
  if (Chance(25)) {
    range.set_sort_order(static_cast<RangeRequest::SortOrder>(Draw(0, 2)));
    range.set_sort_target(static_cast<RangeRequest::SortTarget>(Draw(0, 4)));
  }
  if (Chance(1)) range.set_sort_target(static_cast<RangeRequest::SortTarget>(9));
  if (Chance(1)) range.set_sort_order(static_cast<RangeRequest::SortOrder>(7));
  if (Chance(10)) range.set_min_mod_revision(Draw(0, revision_));
  if (Chance(10)) range.set_max_mod_revision(Draw(0, revision_));
  if (Chance(5)) range.set_min_create_revision(Draw(0, revision_));
  if (Chance(5)) range.set_max_create_revision(Draw(0, revision_));
  return range;
}

RangeRequest RequestGenerator::NextStreamRange() {
  RangeRequest range;
  KeyAndEnd(&range, 90);
  range.set_revision(AnyRevision());
  if (Chance(40)) range.set_limit(Draw(0, 30));
  range.set_keys_only(Chance(15));
  range.set_count_only(Chance(10));
  range.set_serializable(Chance(15));
  if (Chance(3)) range.set_sort_order(RangeRequest::DESCEND);
  if (Chance(3)) range.set_min_mod_revision(2);
  return range;
}

etcdserverpb::PutRequest RequestGenerator::Put() {
  etcdserverpb::PutRequest put;
  put.set_key(Chance(1) ? "" : Key());
  put.set_ignore_value(Chance(6));
  put.set_ignore_lease(Chance(6));
  if (!put.ignore_value() || Chance(10)) put.set_value(Value());
  if ((!put.ignore_lease() && Chance(25)) || Chance(2)) put.set_lease(Lease());
  put.set_prev_kv(Chance(30));
  return put;
}

etcdserverpb::DeleteRangeRequest RequestGenerator::Delete() {
  etcdserverpb::DeleteRangeRequest request;
  KeyAndEnd(&request, 25);
  if (Chance(1)) request.clear_key();
  request.set_prev_kv(Chance(40));
  return request;
}

Compare RequestGenerator::Compare() {
  etcdserverpb::Compare compare;
  KeyAndEnd(&compare, 15);
  compare.set_result(static_cast<Compare::CompareResult>(Draw(0, 3)));
  compare.set_target(static_cast<Compare::CompareTarget>(Draw(0, 4)));
  if (Chance(10)) return compare;  // union left unset
  switch (compare.target()) {
    case Compare::VERSION:
      compare.set_version(Draw(0, 4));
      break;
    case Compare::CREATE:
      compare.set_create_revision(Chance(40) ? 0 : Draw(0, revision_));
      break;
    case Compare::MOD:
      compare.set_mod_revision(Chance(30) ? 0 : Draw(0, revision_));
      break;
    case Compare::VALUE:
      compare.set_value(Value());
      break;
    default:
      compare.set_lease(Chance(50) ? 0 : Lease());
      break;
  }
  return compare;
}

void RequestGenerator::FillOp(etcdserverpb::RequestOp* op, int depth) {
  int64_t kind = Draw(0, 99);
  if (kind < 45) {
    *op->mutable_request_put() = Put();
  } else if (kind < 70) {
    *op->mutable_request_range() = Range();
  } else if (kind < 88) {
    *op->mutable_request_delete_range() = Delete();
  } else if (kind < 99 && depth < 3) {
    *op->mutable_request_txn() = Txn(depth + 1);
  }  // else: no request at all
}

etcdserverpb::TxnRequest RequestGenerator::Txn(int depth) {
  etcdserverpb::TxnRequest txn;
  const bool reads_only = Chance(15);
  for (int64_t i = Draw(0, 2); i > 0; --i) *txn.add_compare() = Compare();
  auto fill = [&](auto* ops) {
    for (int64_t i = Draw(0, 3); i > 0; --i) {
      etcdserverpb::RequestOp* op = ops->Add();
      if (reads_only)
        *op->mutable_request_range() = Range();
      else
        FillOp(op, depth);
    }
  };
  fill(txn.mutable_success());
  fill(txn.mutable_failure());
  if (depth == 0 && Deletes(txn)) KeepNothing(&txn);
  if (depth == 0 && Chance(1)) {
    for (int i = 0; i < 130; ++i)
      txn.add_success()->mutable_request_put()->set_key(absl::StrCat(i));
  }
  return txn;
}

// What kube-apiserver sends: compare mod revision, then put or delete, else get.
etcdserverpb::TxnRequest RequestGenerator::KubernetesTxn() {
  etcdserverpb::TxnRequest txn;
  const std::string key = Key();
  etcdserverpb::Compare* compare = txn.add_compare();
  compare->set_target(Compare::MOD);
  compare->set_key(key);
  compare->set_mod_revision(Chance(50) ? 0 : Draw(std::max<int64_t>(1, revision_ - 30), revision_));
  if (Chance(75)) {
    etcdserverpb::PutRequest* put = txn.add_success()->mutable_request_put();
    put->set_key(key);
    put->set_value(Value());
    if (Chance(20)) put->set_lease(Lease());
  } else {
    txn.add_success()->mutable_request_delete_range()->set_key(key);
  }
  if (Chance(90)) txn.add_failure()->mutable_request_range()->set_key(key);
  return txn;
}

etcdserverpb::CompactionRequest RequestGenerator::Compaction() {
  etcdserverpb::CompactionRequest request;
  // Always physical: etcd's background removal would make HashKV and Status a matter of timing.
  request.set_physical(true);
  if (Chance(10)) {
    request.set_revision(Draw(-1, revision_ + 2));
  } else {
    request.set_revision(Draw(std::max<int64_t>(1, revision_ - 40), revision_));
  }
  return request;
}

etcdserverpb::WatchCreateRequest RequestGenerator::NextWatch() {
  etcdserverpb::WatchCreateRequest watch;
  KeyAndEnd(&watch, 80);
  if (Chance(60)) {
    watch.set_start_revision(AnyRevision());
    if (Chance(5)) watch.set_start_revision(revision_ + Draw(1, 20));
    if (Chance(10)) watch.set_start_revision(std::max<int64_t>(1, compacted_ - Draw(0, 2)));
  }
  watch.set_prev_kv(Chance(50));
  if (Chance(15)) watch.add_filters(etcdserverpb::WatchCreateRequest::NOPUT);
  if (Chance(15)) watch.add_filters(etcdserverpb::WatchCreateRequest::NODELETE);
  if (Chance(15)) watch.set_watch_id(Draw(1, 12));
  watch.set_fragment(Chance(10));
  return watch;
}

Request RequestGenerator::Next() {
  const int64_t kind = Draw(0, 999);
  if (kind < 280) return Put();
  if (kind < 560) return Range();
  if (kind < 640) return Delete();
  if (kind < 780) return Txn(0);
  if (kind < 920) return KubernetesTxn();
  if (kind < 924) return Compaction();
  if (kind < 945) {
    etcdserverpb::LeaseGrantRequest grant;
    grant.set_id(Lease());
    grant.set_ttl(Chance(3) ? 9000000001 : Draw(3000, 5000));
    return grant;
  }
  if (kind < 955) {
    etcdserverpb::LeaseRevokeRequest revoke;
    revoke.set_id(Lease());
    return revoke;
  }
  if (kind < 970) {
    etcdserverpb::LeaseTimeToLiveRequest request;
    request.set_id(Lease());
    request.set_keys(Chance(70));
    return request;
  }
  if (kind < 985) {
    etcdserverpb::LeaseKeepAliveRequest request;
    request.set_id(Lease());
    return request;
  }
  if (kind < 990) return etcdserverpb::LeaseLeasesRequest();
  if (kind < 998) {
    etcdserverpb::HashKVRequest request;
    if (Chance(60)) request.set_revision(Draw(std::max<int64_t>(1, revision_ - 60), revision_ + 1));
    return request;
  }
  return etcdserverpb::AlarmRequest();
}

}  // namespace tidemark::differential
