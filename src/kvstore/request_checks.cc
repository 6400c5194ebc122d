#include "src/kvstore/request_checks.h"

#include <algorithm>
#include <iterator>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "src/kvstore/etcd_errors.h"
#include "src/mvcc/key_range.h"

namespace tidemark::kvstore {
namespace {

using etcdserverpb::RequestOp;
using etcdserverpb::TxnRequest;
using RequestOps = google::protobuf::RepeatedPtrField<RequestOp>;

absl::Status CheckShape(const TxnRequest& request, int64_t ops_budget);

absl::Status CheckOp(const RequestOp& op, int64_t ops_budget) {
  switch (op.request_case()) {
    case RequestOp::kRequestRange:
      return CheckRange(op.request_range());
    case RequestOp::kRequestPut:
      return CheckPut(op.request_put());
    case RequestOp::kRequestDeleteRange:
      return CheckDeleteRange(op.request_delete_range());
    case RequestOp::kRequestTxn:
      return CheckShape(op.request_txn(), ops_budget);
    case RequestOp::REQUEST_NOT_SET:
      break;
  }
  return ErrKeyNotFound();
}

// Each level spends the budget of its largest list, so the recursion is bounded by the budget.
absl::Status CheckShape(const TxnRequest& request, int64_t ops_budget) {
  const int64_t ops =
      std::max({request.compare_size(), request.success_size(), request.failure_size()});
  if (ops > ops_budget) return ErrTooManyOps();
  for (const etcdserverpb::Compare& compare : request.compare()) {
    if (compare.key().empty()) return ErrEmptyKey();
  }
  for (const RequestOps* branch : {&request.success(), &request.failure()}) {
    for (const RequestOp& op : *branch) {
      if (absl::Status status = CheckOp(op, ops_budget - ops); !status.ok()) return status;
    }
  }
  return absl::OkStatus();
}

// A union of keys and ranges: nested transactions may name a hundred thousand.
class DeletedKeys {
 public:
  void Add(const mvcc::KeyRangeView& range) {
    if (range.single) {
      keys_.insert(range.begin);
    } else if (!range.to_infinity && !range.Empty()) {
      // etcd enters "from key on" as an inverted interval, which collides with nothing.
      AddRange(range.begin, range.end);
    }
  }
  void Add(const DeletedKeys& other) {
    keys_.insert(other.keys_.begin(), other.keys_.end());
    for (const auto& [begin, end] : other.end_by_begin_) AddRange(begin, end);
  }
  bool Contains(absl::string_view key) const {
    if (keys_.contains(key)) return true;
    const auto behind = end_by_begin_.upper_bound(key);
    return behind != end_by_begin_.begin() && key < std::prev(behind)->second;
  }

 private:
  void AddRange(absl::string_view begin, absl::string_view end) {
    auto it = end_by_begin_.upper_bound(begin);
    if (it != end_by_begin_.begin() && std::prev(it)->second >= begin) --it;
    while (it != end_by_begin_.end() && it->first <= end) {
      begin = std::min(begin, it->first);
      end = std::max(end, it->second);
      it = end_by_begin_.erase(it);
    }
    end_by_begin_.emplace(begin, end);
  }

  absl::flat_hash_set<absl::string_view> keys_;
  absl::btree_map<absl::string_view, absl::string_view> end_by_begin_;  // apart from each other
};

// Keys put and ranges deleted by one branch, nested transactions included.
struct Touched {
  absl::flat_hash_set<absl::string_view> puts;
  DeletedKeys deletes;
};

void CollectOwnDeletes(const RequestOps& ops, Touched* touched) {
  for (const RequestOp& op : ops) {
    if (!op.has_request_delete_range()) continue;
    const auto& request = op.request_delete_range();
    touched->deletes.Add(mvcc::FromEtcd(request.key(), request.range_end()));
  }
}

absl::Status CollectBranch(const RequestOps& ops, Touched* touched);

// The two branches of one nested txn exclude each other: they may put the same key.
absl::Status CollectNested(const TxnRequest& txn, Touched* touched) {
  Touched then_branch, else_branch;
  if (absl::Status s = CollectBranch(txn.success(), &then_branch); !s.ok()) return s;
  if (absl::Status s = CollectBranch(txn.failure(), &else_branch); !s.ok()) return s;
  for (absl::string_view key : then_branch.puts) {
    if (touched->puts.contains(key) || touched->deletes.Contains(key)) return ErrDuplicateKey();
  }
  for (absl::string_view key : else_branch.puts) {
    if (touched->puts.contains(key) || touched->deletes.Contains(key)) return ErrDuplicateKey();
  }
  touched->puts.insert(then_branch.puts.begin(), then_branch.puts.end());
  touched->puts.insert(else_branch.puts.begin(), else_branch.puts.end());
  // Only now: etcd compares a nested txn's puts with deletes before it, not with those after it.
  touched->deletes.Add(then_branch.deletes);
  touched->deletes.Add(else_branch.deletes);
  return absl::OkStatus();
}

absl::Status CollectBranch(const RequestOps& ops, Touched* touched) {
  CollectOwnDeletes(ops, touched);
  for (const RequestOp& op : ops) {
    if (!op.has_request_txn()) continue;
    if (absl::Status s = CollectNested(op.request_txn(), touched); !s.ok()) return s;
  }
  for (const RequestOp& op : ops) {
    if (!op.has_request_put()) continue;
    absl::string_view key = op.request_put().key();
    if (touched->deletes.Contains(key) || !touched->puts.insert(key).second)
      return ErrDuplicateKey();
  }
  return absl::OkStatus();
}

// The common transaction (at most one operation per branch, not nested) cannot overlap itself.
bool CannotOverlap(const RequestOps& ops) {
  return ops.empty() || (ops.size() == 1 && !ops[0].has_request_txn());
}

int64_t BranchCostBytes(const RequestOps& ops) {
  int64_t bytes = 0;
  for (const RequestOp& op : ops) {
    if (op.has_request_put()) bytes += QuotaCostBytes(op.request_put());
    if (op.has_request_txn()) bytes += QuotaCostBytes(op.request_txn());
  }
  return bytes;
}

}  // namespace

absl::Status CheckRange(const etcdserverpb::RangeRequest& request) {
  if (request.key().empty()) return ErrEmptyKey();
  if (!etcdserverpb::RangeRequest::SortOrder_IsValid(request.sort_order()) ||
      !etcdserverpb::RangeRequest::SortTarget_IsValid(request.sort_target())) {
    return ErrInvalidSortOption();
  }
  return absl::OkStatus();
}

absl::Status CheckPut(const etcdserverpb::PutRequest& request) {
  if (request.key().empty()) return ErrEmptyKey();
  if (request.ignore_value() && !request.value().empty()) return ErrValueProvided();
  if (request.ignore_lease() && request.lease() != 0) return ErrLeaseProvided();
  return absl::OkStatus();
}

absl::Status CheckDeleteRange(const etcdserverpb::DeleteRangeRequest& request) {
  return request.key().empty() ? ErrEmptyKey() : absl::OkStatus();
}

absl::Status CheckTxn(const etcdserverpb::TxnRequest& request, size_t max_txn_ops) {
  if (absl::Status s = CheckShape(request, static_cast<int64_t>(max_txn_ops)); !s.ok()) return s;
  for (const RequestOps* branch : {&request.success(), &request.failure()}) {
    if (CannotOverlap(*branch)) continue;
    Touched touched;
    if (absl::Status s = CollectBranch(*branch, &touched); !s.ok()) return s;
  }
  return absl::OkStatus();
}

int64_t QuotaCostBytes(const etcdserverpb::PutRequest& request) {
  constexpr int64_t kPerPutBytes = 256;
  return kPerPutBytes + static_cast<int64_t>(request.key().size() + request.value().size());
}

int64_t QuotaCostBytes(const etcdserverpb::TxnRequest& request) {
  return std::max(BranchCostBytes(request.success()), BranchCostBytes(request.failure()));
}

bool ReadsMany(const etcdserverpb::RangeRequest& request) {
  constexpr int64_t kFewKeys = 64;
  if (request.range_end().empty() || request.count_only()) return false;
  return request.limit() <= 0 || request.limit() > kFewKeys;
}

bool ReadsMany(const TxnRequest& request) {
  auto reads_many = [](const RequestOp& op) {
    return (op.has_request_range() && ReadsMany(op.request_range())) ||
           (op.has_request_txn() && ReadsMany(op.request_txn()));
  };
  return std::any_of(request.success().begin(), request.success().end(), reads_many) ||
         std::any_of(request.failure().begin(), request.failure().end(), reads_many);
}

bool IsReadOnlyTxn(const etcdserverpb::TxnRequest& request) {
  auto is_range = [](const RequestOp& op) { return op.has_request_range(); };
  return std::all_of(request.success().begin(), request.success().end(), is_range) &&
         std::all_of(request.failure().begin(), request.failure().end(), is_range);
}

bool TxnIsSerializable(const etcdserverpb::TxnRequest& request) {
  auto is_serializable = [](const RequestOp& op) {
    return op.has_request_range() && op.request_range().serializable();
  };
  return std::all_of(request.success().begin(), request.success().end(), is_serializable) &&
         std::all_of(request.failure().begin(), request.failure().end(), is_serializable);
}

}  // namespace tidemark::kvstore
