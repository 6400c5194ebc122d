// What an event costs for each of its watchers, from the applied entry to the encoded message: the
// watch set, the port, the stream and the encoder. The put itself is measured with one watcher; the
// network is in transport_benchmark.
#include <benchmark/benchmark.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "src/base/check.h"
#include "src/base/memory_budget.h"
#include "src/kvstore/replica_harness_for_test.h"
#include "src/partition/parts.h"
#include "src/partition/watch_stream_impl.h"
#include "src/server/services/reply_encoder.h"

namespace tidemark {
namespace {

constexpr size_t kCreditBytes = 4 << 20;
constexpr int kPutsPerCompaction = 16384;

// A client that takes everything at once.
class Watcher final : public partition::WatchOutput {
 public:
  void Open(const partition::WatchStreamImpl::Wiring& wiring, Executor& executor) {
    stream_ = std::make_unique<partition::WatchStreamImpl>(wiring, kCreditBytes, executor, *this);
    etcdserverpb::WatchCreateRequest request;
    request.set_key("/registry/pods/");
    request.set_range_end("/registry/pods0");
    CHECK(stream_->Create(request));
  }
  int64_t messages() const { return messages_; }

  void OnCreated(int64_t, Revision) override {}
  void OnCreateRefused(Revision, absl::string_view reason) override { Fatal(std::string(reason)); }
  void OnEvents(int64_t id, mvcc::EventBatchPtr batch, Revision revision, bool) override {
    server::WatchReply reply;
    reply.header = {11, 22, revision, 3};
    reply.watch_id = id;
    benchmark::DoNotOptimize(server::EncodeWatch(reply, batch->Encoded()));
    ++messages_;
    stream_->Consumed(batch->encoded_size_bytes());
  }
  void OnCanceled(int64_t, Revision) override {}
  void OnCompacted(int64_t, Revision) override { Fatal("compacted"); }
  void OnProgress(int64_t, Revision) override {}

 private:
  std::unique_ptr<partition::WatchStream> stream_;
  int64_t messages_ = 0;
};

// One partition, on one sequence with all its streams.
class FanOut {
 public:
  explicit FanOut(int64_t watchers) : parts_(partition::PartitionMap::Single()) {
    kvstore::ReplicaOptions options;
    options.partition = kSystemPartition;
    options.origin = OriginId(77);
    parts_.Add(kvstore::Replica::Create(options, executor_, clock_, journal_, memory_, nullptr));
    CHECK(replica().store().StartEmpty().ok());
    replica().Start({});
    replica().BecomePrimary([](absl::Status status) { CHECK(status.ok()); });
    Settle();
    parts_.hub(options.partition).SetWhole();
    for (int64_t i = 0; i < watchers; ++i) {
      watchers_.push_back(std::make_unique<Watcher>());
      watchers_.back()->Open({parts_, journal_, clock_, MemoryBudget::Unlimited()}, executor_);
    }
    Settle();
  }
  ~FanOut() {
    watchers_.clear();
    Settle();
  }

  void Put() {
    etcdserverpb::PutRequest request;
    request.set_key(absl::StrCat("/registry/pods/default/pod-", puts_++ % 10000));
    request.set_value(value_);
    replica().Put(std::move(request),
                  [](absl::StatusOr<kvstore::Reply<kvstore::PutResult>> r) { CHECK(r.ok()); });
    Deliver();
  }
  void Compact() {
    replica().store().Compact(replica().store().current_revision());
    while (replica().store().CompactStep(100'000, mvcc::kLatest)) {
    }
  }
  int64_t puts() const { return puts_; }
  int64_t messages() const {
    int64_t sum = 0;
    for (const auto& watcher : watchers_) sum += watcher->messages();
    return sum;
  }

 private:
  kvstore::Replica& replica() { return parts_.system(); }
  void Deliver() {
    replica().Apply(*journal_.NextBatch(1000));
    executor_.RunAll();
  }
  void Settle() {
    do {
      executor_.RunAll();
      journal_.AnswerQuestions();
      Deliver();
    } while (journal_.undelivered() > 0 || journal_.questions() > 0);
  }

  const std::string value_ = std::string(1024, 'v');
  kvstore::ManualExecutor executor_;
  kvstore::ManualClock clock_;
  kvstore::FakeJournal journal_;
  HeapMapper memory_;
  partition::Parts parts_;
  std::vector<std::unique_ptr<Watcher>> watchers_;
  int64_t puts_ = 0;
};

// The unit is one event for one watcher, each on a stream of its own.
void BM_EventToWatchers(benchmark::State& state) {
  FanOut fan_out(state.range(0));
  for (auto _ : state) {
    fan_out.Put();
    if (fan_out.puts() % kPutsPerCompaction != 0) continue;
    state.PauseTiming();
    fan_out.Compact();
    state.ResumeTiming();
  }
  CHECK(fan_out.messages() == fan_out.puts() * state.range(0));
  state.SetItemsProcessed(fan_out.messages());
}
BENCHMARK(BM_EventToWatchers)->Arg(1)->Arg(100)->Arg(1000);

}  // namespace
}  // namespace tidemark
