// The version store and the watch set alone: what a put, a read, a large range and a fan-out cost.
#include <benchmark/benchmark.h>
#include <malloc.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "src/base/bytes.h"
#include "src/base/crc32c.h"
#include "src/base/heap_mapper_for_test.h"
#include "src/mvcc/key_index.h"
#include "src/mvcc/version_store.h"
#include "src/mvcc/watch_set.h"

namespace tidemark::mvcc {
namespace {

std::string KeyOf(int64_t i) {
  return absl::StrCat("/registry/pods/namespace-", i % 97, "/deployment-7d9c6b8f5-", i);
}

class Fixture {
 public:
  explicit Fixture(int64_t keys, size_t value_size = 1024) : value_(value_size, 'v') {
    for (int64_t i = 0; i < keys; ++i) Put(KeyOf(i));
  }
  absl::Span<const Event> Put(absl::string_view key) {
    store_->BeginEntry(store_->current_revision().Next());
    store_->Put(0, key, value_, LeaseId(0));
    return store_->CommitEntry();
  }
  void Compact() {
    store_->Compact(store_->current_revision());
    while (store_->CompactStep(1000, kLatest)) {
    }
  }
  VersionStore& store() { return *store_; }
  size_t mapped_bytes() const { return mapper_.used_bytes(); }

 private:
  HeapMapper mapper_;
  std::string value_;
  std::unique_ptr<VersionStore> store_ = VersionStore::CreateEmpty({.name = "bench"}, mapper_);
};

void BM_Crc32cOf1KiB(benchmark::State& state) {
  const std::string bytes(1100, 'x');
  for (auto _ : state) benchmark::DoNotOptimize(Crc32c(bytes));
}
BENCHMARK(BM_Crc32cOf1KiB);

// Updates of existing keys; superseded versions are removed aside, as in production.
void BM_Put1KiB(benchmark::State& state) {
  const int64_t keys = state.range(0);
  Fixture fixture(keys);
  std::vector<std::string> names;
  for (int64_t i = 0; i < keys; ++i) names.push_back(KeyOf(i * 7919 % keys));
  int64_t i = 0;
  for (auto _ : state) {
    fixture.Put(names[static_cast<size_t>(i++ % keys)]);
    if (i % 100000 == 0) {
      state.PauseTiming();
      fixture.Compact();
      state.ResumeTiming();
    }
  }
}
BENCHMARK(BM_Put1KiB)->Arg(1000)->Arg(100000);

std::vector<std::string> ShuffledKeys(int64_t keys) {
  std::vector<std::string> names;
  for (int64_t i = 0; i < keys; ++i) names.push_back(KeyOf(i * 7919 % keys));
  return names;
}

// New keys into hash and order, and lookups: neither in key order.
void BM_IndexInsert(benchmark::State& state) {
  const std::vector<std::string> names = ShuffledKeys(state.range(0));
  KeyIndex index;
  size_t i = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(index.FindOrCreate(names[i]));
    if (++i < names.size()) continue;
    state.PauseTiming();
    index.Clear();
    i = 0;
    state.ResumeTiming();
  }
}
BENCHMARK(BM_IndexInsert)->Arg(1000)->Arg(1000000);

void BM_IndexFind(benchmark::State& state) {
  const std::vector<std::string> names = ShuffledKeys(state.range(0));
  KeyIndex index;
  for (const std::string& name : names) index.FindOrCreate(name);
  size_t i = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(index.Find(names[i]));
    if (++i == names.size()) i = 0;
  }
}
BENCHMARK(BM_IndexFind)->Arg(1000)->Arg(1000000);

void BM_GetLatest(benchmark::State& state) {
  const int64_t keys = state.range(0);
  Fixture fixture(keys, 256);
  std::vector<std::string> names;
  for (int64_t i = 0; i < keys; ++i) names.push_back(KeyOf(i * 7919 % keys));
  int64_t i = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(fixture.store().Get(names[static_cast<size_t>(i++ % keys)], kLatest));
  }
}
BENCHMARK(BM_GetLatest)->Arg(1000)->Arg(1000000);

void BM_RangeCollect1000x1KiB(benchmark::State& state) {
  Fixture fixture(100000);
  const KeyRangeView range =
      FromEtcd("/registry/pods/namespace-50/", "/registry/pods/namespace-500");
  for (auto _ : state) {
    std::vector<SharedBytes> items;
    fixture.store().Visit(range, kLatest, [&](const KeyValueView& view) {
      items.push_back(fixture.store().Share(view));
      return items.size() < 1000;
    });
    if (items.size() != 1000) state.SkipWithError("range too small");
  }
  state.SetItemsProcessed(state.iterations() * 1000);
}
BENCHMARK(BM_RangeCollect1000x1KiB);

class CountingSink final : public WatchSink {
 public:
  bool HasRoom() override { return true; }
  void OnEvents(WatcherId, EventBatchPtr batch, Revision) override {
    bytes += batch->encoded_size_bytes();
  }
  void OnCompacted(WatcherId, Revision) override {}
  size_t bytes = 0;
};

// range(0) watchers of one prefix, each told of every put; compare with BM_Put1KiB.
void BM_PutAndNotify(benchmark::State& state) {
  Fixture fixture(1000);
  auto watches = WatchSet::Create(fixture.store(), {});
  CountingSink sink;
  for (int64_t i = 0; i < state.range(0); ++i) {
    WatchSpec spec;
    // Every other watcher wants prev_kv: two views.
    spec.range = KeyRange(FromEtcd("/registry/pods/", "/registry/pods0"));
    spec.start = fixture.store().current_revision().Next();
    spec.prev_kv = i % 2 == 0;
    spec.sink = &sink;
    watches->Add(std::move(spec));
  }
  const std::string key = KeyOf(5);
  int64_t i = 0;
  for (auto _ : state) {
    auto events = fixture.Put(key);
    watches->Notify(fixture.store().current_revision(), events);
    if (++i % 100000 == 0) {
      state.PauseTiming();
      fixture.Compact();
      state.ResumeTiming();
    }
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_PutAndNotify)->Arg(0)->Arg(100);

void BM_CatchUp100kRevisions(benchmark::State& state) {
  Fixture fixture(100000, 100);
  CountingSink sink;
  for (auto _ : state) {
    auto watches = WatchSet::Create(fixture.store(), {});
    WatchSpec spec;
    spec.range = KeyRange(FromEtcd("/registry/pods/", "/registry/pods0"));
    spec.start = Revision(1);
    spec.sink = &sink;
    watches->Add(std::move(spec));
    while (watches->CatchUpStep(1000)) {
    }
  }
  state.SetItemsProcessed(state.iterations() * 100000);
}
BENCHMARK(BM_CatchUp100kRevisions)->Unit(benchmark::kMillisecond);

void BM_CompactPerRemovedVersion(benchmark::State& state) {
  Fixture fixture(10000, 256);
  for (auto _ : state) {
    state.PauseTiming();
    for (int64_t i = 0; i < 10000; ++i) fixture.Put(KeyOf(i));
    state.ResumeTiming();
    fixture.Compact();
  }
  state.SetItemsProcessed(state.iterations() * 10000);
}
BENCHMARK(BM_CompactPerRemovedVersion)->Unit(benchmark::kMillisecond);

// Not a speed: bytes of index per key besides the key, everything malloc adds included.
void BM_IndexBytesPerKey(benchmark::State& state) {
  const int64_t keys = state.range(0);
  double bytes_per_key = 0;
  for (auto _ : state) {
    const struct mallinfo2 before = mallinfo2();
    Fixture fixture(keys, 16);
    const struct mallinfo2 after = mallinfo2();
    const size_t heap = after.uordblks + after.hblkhd - before.uordblks - before.hblkhd;
    size_t key_bytes = 0;
    for (int64_t i = 0; i < keys; ++i) key_bytes += KeyOf(i).size();
    const size_t index = heap - fixture.mapped_bytes() - key_bytes;
    bytes_per_key = static_cast<double>(index) / static_cast<double>(keys);
  }
  state.counters["bytes_per_key"] = bytes_per_key;
}
BENCHMARK(BM_IndexBytesPerKey)->Arg(1000000)->Iterations(1)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace tidemark::mvcc
