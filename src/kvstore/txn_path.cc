#include "src/kvstore/txn_path.h"

#include <utility>

#include "src/base/check.h"

namespace tidemark::kvstore {
namespace {

using etcdserverpb::Compare;
using etcdserverpb::RequestOp;
using etcdserverpb::TxnRequest;

TxnShape Descend(const TxnRequest& request, absl::FunctionRef<bool(const Compare&)> holds,
                 std::vector<PlannedOp>* ops) {
  TxnShape shape;
  shape.succeeded = true;
  for (const Compare& compare : request.compare()) {
    if (!holds(compare)) {
      shape.succeeded = false;
      break;
    }
  }
  const auto& branch = shape.succeeded ? request.success() : request.failure();
  shape.slots.reserve(branch.size());
  for (const RequestOp& op : branch) {
    PlannedOp planned;
    switch (op.request_case()) {
      case RequestOp::kRequestRange:
        planned.range = &op.request_range();
        break;
      case RequestOp::kRequestPut:
        planned.put = &op.request_put();
        break;
      case RequestOp::kRequestDeleteRange:
        planned.delete_range = &op.request_delete_range();
        break;
      case RequestOp::kRequestTxn:
        shape.slots.emplace_back(
            std::make_unique<TxnShape>(Descend(op.request_txn(), holds, ops)));
        continue;
      case RequestOp::REQUEST_NOT_SET:
        CHECK_MSG(false, "unchecked request");
    }
    shape.slots.emplace_back(ops->size());
    ops->push_back(planned);
  }
  return shape;
}

TxnResult Rebuild(const TxnShape& shape, std::vector<OpResult>* results) {
  TxnResult answer;
  answer.succeeded = shape.succeeded;
  answer.responses.reserve(shape.slots.size());
  for (const auto& slot : shape.slots) {
    if (const size_t* index = std::get_if<size_t>(&slot)) {
      CHECK(*index < results->size());
      answer.responses.push_back(std::move((*results)[*index]));
      continue;
    }
    OpResult nested;
    nested.result =
        std::make_unique<TxnResult>(Rebuild(*std::get<std::unique_ptr<TxnShape>>(slot), results));
    answer.responses.push_back(std::move(nested));
  }
  return answer;
}

template <typename T>
int Order(const T& left, const T& right) {
  return left < right ? -1 : (right < left ? 1 : 0);
}

// An unset or differently set target_union reads as zero or empty, as in etcd.
int OrderAgainstTarget(const Compare& compare, const mvcc::KeyValueView& kv) {
  switch (compare.target()) {
    case Compare::VERSION:
      return Order(kv.version, compare.version());
    case Compare::CREATE:
      return Order(kv.create_revision.value(), compare.create_revision());
    case Compare::MOD:
      return Order(kv.mod_revision.value(), compare.mod_revision());
    case Compare::VALUE:
      return Order(kv.value, absl::string_view(compare.value()));
    case Compare::LEASE:
      return Order(kv.lease.value(), compare.lease());
    default:
      return 0;  // a target number nobody knows
  }
}

}  // namespace

TxnPath DecideTxnPath(const TxnRequest& request, absl::FunctionRef<bool(const Compare&)> holds) {
  TxnPath path;
  path.shape = Descend(request, holds, &path.ops);
  return path;
}

TxnResult BuildTxnResult(const TxnShape& shape, std::vector<OpResult> results) {
  return Rebuild(shape, &results);
}

bool CompareHolds(const Compare& compare, const mvcc::KeyValueView& kv) {
  const int order = OrderAgainstTarget(compare, kv);
  switch (compare.result()) {
    case Compare::EQUAL:
      return order == 0;
    case Compare::NOT_EQUAL:
      return order != 0;
    case Compare::GREATER:
      return order > 0;
    case Compare::LESS:
      return order < 0;
    default:
      return true;  // a result number nobody knows
  }
}

bool CompareHoldsForMissing(const Compare& compare) {
  // An absent value equals nothing and differs from nothing.
  if (compare.target() == Compare::VALUE) return false;
  return CompareHolds(compare, mvcc::KeyValueView());
}

}  // namespace tidemark::kvstore
