// Requests of the KV service: bytes that parse are judged for shape; what passes is evaluated,
// written down as effects, applied, and read, and nothing on that way may find fault with the shape
// again.
#include <memory>

#include "src/base/heap_mapper_for_test.h"
#include "src/kvstore/effects.h"
#include "src/kvstore/evaluator.h"
#include "src/kvstore/range_reader.h"
#include "src/kvstore/request_checks.h"
#include "tests/fuzz/fuzz_target.h"

namespace tidemark::kvstore {
namespace {

constexpr PartitionId kPartition{1};
constexpr size_t kMaxTxnOps = 16;

// A small store with history: versions, a tombstone, a lease, a compaction.
class Fixture {
 public:
  Fixture()
      : store_(mvcc::VersionStore::CreateEmpty({.name = "fuzz", .segment_size_bytes = 4096},
                                               memory_)) {
    leases_.Grant(LeaseId(7), 60);
    Put("a", "1", 0);
    Put("ab", "2", 0);
    Put("a", "3", 7);
    Put("b", "4", 0);
    Delete("b");
    Put("c", std::string(300, 'c'), 0);
    store_->Compact(Revision(3));
  }

  void Range(const etcdserverpb::RangeRequest& request, int64_t step_keys);
  void Txn(const etcdserverpb::TxnRequest& request);
  void Put(const etcdserverpb::PutRequest& request) { Evaluate({{.put = &request}}, nullptr); }
  void DeleteRange(const etcdserverpb::DeleteRangeRequest& request) {
    Evaluate({{.delete_range = &request}}, nullptr);
  }

 private:
  void Put(absl::string_view key, absl::string_view value, int64_t lease) {
    store_->BeginEntry(store_->current_revision().Next());
    store_->Put(0, key, value, LeaseId(lease));
    store_->CommitEntry();
  }
  void Delete(absl::string_view key) {
    store_->BeginEntry(store_->current_revision().Next());
    store_->Delete(0, key);
    store_->CommitEntry();
  }
  void Evaluate(std::vector<PlannedOp> ops, const TxnShape* shape);
  void Apply(absl::Span<const KeyChange> changes);

  HeapMapper memory_;
  std::unique_ptr<mvcc::VersionStore> store_;
  LeaseTable leases_;
};

RangeResult InSteps(const mvcc::VersionStore& store, const etcdserverpb::RangeRequest& request,
                    Revision at, int64_t step_keys) {
  RangeReader reader(store, request, at);
  while (!reader.Step(step_keys)) {
  }
  return std::move(reader).Take();
}

void Fixture::Range(const etcdserverpb::RangeRequest& request, int64_t step_keys) {
  if (!CheckRange(request).ok()) return;
  absl::StatusOr<Revision> at =
      RevisionToRead(request, store_->current_revision(), store_->compact_revision());
  if (!at.ok()) return;
  CHECK(store_->CheckReadable(*at).ok());
  const RangeResult whole = ReadRange(*store_, request, *at);
  const RangeResult steps = InSteps(*store_, request, *at, step_keys);
  CHECK(whole.count == steps.count && whole.more == steps.more);
  CHECK(whole.items.size() == steps.items.size());
  auto in_steps = steps.items.begin();
  for (const RangeItem& item : whole.items) {
    const absl::string_view wire = item.wire.view();
    CHECK(wire == in_steps->wire.view());
    ++in_steps;
    mvccpb::KeyValue kv;
    CHECK(kv.ParseFromArray(wire.data(), static_cast<int>(wire.size())));
    CHECK(mvcc::FromEtcd(request.key(), request.range_end()).Contains(kv.key()));
  }
  CHECK(request.limit() <= 0 || static_cast<int64_t>(whole.items.size()) <= request.limit());
  CHECK(whole.count >= static_cast<int64_t>(whole.items.size()) || request.count_only());
}

void Fixture::Txn(const etcdserverpb::TxnRequest& request) {
  CHECK(QuotaCostBytes(request) >= 0);
  if (!CheckTxn(request, kMaxTxnOps).ok()) return;
  const Evaluator evaluator(*store_, leases_, store_->current_revision());
  const TxnPath path = DecideTxnPath(request, [&](const etcdserverpb::Compare& compare) {
    return evaluator.Holds(compare, mvcc::kLatest);
  });
  if (IsReadOnlyTxn(request)) {
    for (const PlannedOp& op : path.ops) CHECK(op.range != nullptr);
  }
  Evaluate(path.ops, &path.shape);
}

void Fixture::Evaluate(std::vector<PlannedOp> ops, const TxnShape* shape) {
  const Evaluator evaluator(*store_, leases_, store_->current_revision());
  absl::StatusOr<Evaluation> evaluation = evaluator.Evaluate(ops);
  if (!evaluation.ok()) return;
  CHECK(evaluation->answer.steps.size() == ops.size());
  if (!evaluation->changes.empty()) return Apply(evaluation->changes);
  std::vector<OpResult> results = evaluator.ResultsWithoutChanges(std::move(evaluation->answer));
  CHECK(results.size() == ops.size());
  if (shape != nullptr) (void)BuildTxnResult(*shape, std::move(results));
}

void Fixture::Apply(absl::Span<const KeyChange> changes) {
  EffectsWriter writer;
  writer.AddKeyChanges(kPartition, changes);
  const std::string payload = std::move(writer).Take();
  absl::StatusOr<DecodedEffects> effects = DecodeEffects(payload, kPartition);
  CHECK(effects.ok() && effects->changes.size() == changes.size());
  store_->BeginEntry(store_->current_revision().Next());
  for (const KeyChangeView& change : effects->changes) {
    if (change.is_delete) {
      store_->Delete(change.sub, change.key);
    } else {
      store_->Put(change.sub, change.key, change.value, change.lease);
    }
  }
  CHECK(store_->CommitEntry().size() == changes.size());
  store_->CheckInvariants();
}

template <typename Request>
bool Parse(absl::string_view bytes, Request* request) {
  return request->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

}  // namespace

FUZZ_TARGET(requests) {
  fuzz::Input in(input);
  Fixture fixture;
  etcdserverpb::RangeRequest range;
  etcdserverpb::PutRequest put;
  etcdserverpb::DeleteRangeRequest delete_range;
  etcdserverpb::TxnRequest txn;
  switch (in.Below(4)) {
    case 0: {
      const int64_t step_keys = 1 + static_cast<int64_t>(in.Below(4));
      if (Parse(in.rest(), &range)) fixture.Range(range, step_keys);
      return;
    }
    case 1:
      if (Parse(in.rest(), &put) && CheckPut(put).ok()) fixture.Put(put);
      return;
    case 2:
      if (Parse(in.rest(), &delete_range) && CheckDeleteRange(delete_range).ok()) {
        fixture.DeleteRange(delete_range);
      }
      return;
    case 3:
      if (Parse(in.rest(), &txn)) fixture.Txn(txn);
      return;
  }
}

}  // namespace tidemark::kvstore
