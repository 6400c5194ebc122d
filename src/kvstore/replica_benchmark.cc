// What a plain put and an update-txn cost in the replica: evaluate, encode, order (in memory),
// apply and answer.
#include <string>

#include "benchmark/benchmark.h"
#include "src/kvstore/range_reader.h"
#include "src/kvstore/replica_harness_for_test.h"

namespace tidemark::kvstore {
namespace {

constexpr int kBatch = 64;

std::string KeyOf(int64_t i) { return absl::StrCat("/registry/pods/default/pod-", i % 10000); }

// Keeps memory level: compacting is not what is measured.
void Compact(ReplicaHarness& h, benchmark::State& state) {
  state.PauseTiming();
  h.replica->store().Compact(h.replica->store().current_revision());
  while (h.replica->store().CompactStep(100000, mvcc::kLatest)) {
  }
  state.ResumeTiming();
}

void BM_Put(benchmark::State& state) {
  ReplicaHarness h;
  const std::string value(1024, 'v');
  int64_t puts = 0;
  for (auto _ : state) {
    for (int i = 0; i < kBatch; ++i) {
      etcdserverpb::PutRequest request;
      request.set_key(KeyOf(puts++));
      request.set_value(value);
      h.replica->Put(std::move(request), [](absl::StatusOr<Reply<PutResult>> r) { CHECK(r.ok()); });
    }
    h.Deliver();
    if (puts % 65536 == 0) Compact(h, state);
  }
  state.SetItemsProcessed(puts);
}
BENCHMARK(BM_Put);

void BM_UpdateTxn(benchmark::State& state) {
  ReplicaHarness h;
  const std::string value(1024, 'v');
  int64_t txns = 0;
  for (auto _ : state) {
    for (int i = 0; i < kBatch; ++i) {
      const std::string key = KeyOf(txns++);
      etcdserverpb::TxnRequest request;
      auto* compare = request.add_compare();
      compare->set_key(key);
      compare->set_target(etcdserverpb::Compare::VERSION);
      compare->set_result(etcdserverpb::Compare::GREATER);
      compare->set_version(-1);
      auto* put = request.add_success()->mutable_request_put();
      put->set_key(key);
      put->set_value(value);
      request.add_failure()->mutable_request_range()->set_key(key);
      h.replica->Txn(std::move(request), [](absl::StatusOr<Reply<TxnResult>> r) { CHECK(r.ok()); });
    }
    h.Deliver();
    if (txns % 65536 == 0) Compact(h, state);
  }
  state.SetItemsProcessed(txns);
}
BENCHMARK(BM_UpdateTxn);

// A list of 10,000 keys of 2 KiB: read in steps, as references. The unit is one key.
void BM_RangeOf10000(benchmark::State& state) {
  constexpr int kKeys = 10000;
  ReplicaHarness h;
  for (int i = 0; i < kKeys; ++i) {
    etcdserverpb::PutRequest request;
    request.set_key(KeyOf(i));
    request.set_value(std::string(2048, 'v'));
    h.replica->Put(std::move(request), [](absl::StatusOr<Reply<PutResult>> r) { CHECK(r.ok()); });
    if (i % kBatch == kBatch - 1) h.Deliver();
  }
  h.Deliver();
  etcdserverpb::RangeRequest request;
  request.set_key("/registry/pods/");
  request.set_range_end("/registry/pods0");
  for (auto _ : state) {
    RangeReader reader(h.replica->store(), request, mvcc::kLatest);
    while (!reader.Step(256)) {
    }
    const RangeResult result = std::move(reader).Take();
    CHECK(result.items.size() == kKeys);
  }
  state.SetItemsProcessed(state.iterations() * kKeys);
}
BENCHMARK(BM_RangeOf10000);

}  // namespace
}  // namespace tidemark::kvstore
