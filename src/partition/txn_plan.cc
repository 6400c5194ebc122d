#include "src/partition/txn_plan.h"

#include "src/base/check.h"

namespace tidemark::partition {

using etcdserverpb::RequestOp;
using mvcc::FromEtcd;

std::vector<PartitionId> OwnersOf(const PartitionMap& map, const kvstore::PlannedOp& op) {
  if (op.put != nullptr) return {map.Owner(op.put->key())};
  if (op.range != nullptr) return map.Owners(FromEtcd(op.range->key(), op.range->range_end()));
  CHECK(op.delete_range != nullptr);
  return map.Owners(FromEtcd(op.delete_range->key(), op.delete_range->range_end()));
}

std::vector<PartitionId> OwnersOf(const PartitionMap& map, const etcdserverpb::Compare& compare) {
  return map.Owners(FromEtcd(compare.key(), compare.range_end()));
}

TxnPlan::TxnPlan(const PartitionMap& map, const etcdserverpb::TxnRequest& request) : map_(map) {
  Walk(request);
  for (const auto& [id, scope] : scopes_) partitions_.push_back(id);
  if (partitions_.empty()) partitions_.push_back(kSystemPartition);
}

kvstore::Scope TxnPlan::scope(PartitionId id) const {
  const auto it = scopes_.find(id);
  return it == scopes_.end() ? kvstore::Scope() : it->second;
}

void TxnPlan::Walk(const etcdserverpb::TxnRequest& txn) {
  for (const auto& compare : txn.compare()) {
    compares_.push_back(&compare);
    const auto range = FromEtcd(compare.key(), compare.range_end());
    for (PartitionId id : map_.Owners(range)) scopes_[id].reads.emplace_back(range);
  }
  WalkOps(txn.success());
  WalkOps(txn.failure());
}

void TxnPlan::WalkOps(const Ops& ops) {
  for (const RequestOp& op : ops) {
    if (op.has_request_range()) {
      const auto range = FromEtcd(op.request_range().key(), op.request_range().range_end());
      for (PartitionId id : map_.Owners(range)) scopes_[id].reads.emplace_back(range);
    } else if (op.has_request_put()) {
      const auto& put = op.request_put();
      kvstore::Scope& scope = scopes_[map_.Owner(put.key())];
      scope.writes.emplace_back(FromEtcd(put.key(), ""));
      if (put.lease() != 0) scope.attaches.emplace_back(put.lease());
    } else if (op.has_request_delete_range()) {
      const auto& del = op.request_delete_range();
      const auto range = FromEtcd(del.key(), del.range_end());
      for (PartitionId id : map_.Owners(range)) scopes_[id].writes.emplace_back(range);
    } else if (op.has_request_txn()) {
      Walk(op.request_txn());
    }
  }
}

}  // namespace tidemark::partition
