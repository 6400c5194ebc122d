// A LocalStore over the real journal on simulated time and disk, called like a blocking client. Its
// memory and checkpoints outlive a restart, like tmpfs and a disk do.
//
// Bound to the World's thread.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "src/base/heap_mapper_for_test.h"
#include "src/journal/embedded_journal.h"
#include "src/partition/local_store.h"
#include "tests/sim/env/distant_journal.h"
#include "tests/sim/env/memory_checkpoint_store.h"
#include "tests/sim/env/sim_disk.h"
#include "tests/sim/env/world.h"

namespace tidemark::partition {

class StoreForTest {
 public:
  explicit StoreForTest(LocalStoreOptions options, uint64_t seed = 1, size_t executors = 1)
      : world_(seed),
        crashes_(world_.random()),
        disk_(std::make_unique<sim::SimDisk>(world_.random())),
        options_(std::move(options)),
        executor_count_(executors) {
    options_.segment_size_bytes = 1 << 16;
  }
  ~StoreForTest() { Shut(); }

  // Opens journal and store; the outcome of Start.
  absl::Status Start() {
    if (absl::Status status = Begin(); !status.ok()) return status;
    return AwaitStart();
  }
  // The same in two steps.
  absl::Status AwaitStart() {
    EXPECT_TRUE(world_.RunUntil([this] { return started_.has_value(); }, absl::Minutes(5)));
    return started_.value_or(absl::DeadlineExceededError("start"));
  }
  absl::Status Begin() {
    journal_executor_ = world_.NewExecutor("journal");
    runner_ = world_.NewBlockingRunner("disk", absl::Microseconds(50), absl::Milliseconds(1));
    journal::EmbeddedJournalOptions journal;
    journal.directory = "/data/journal";
    journal.segment_bytes = journal_segment_bytes;
    journal.limits.payload_bytes_max = journal_payload_bytes_max;
    journal.file_system = disk_.get();
    journal.clock = &world_.clock();
    journal.random = &world_.random();
    journal.executor = journal_executor_.get();
    journal.runner = runner_.get();
    auto opened = journal::EmbeddedJournal::Open(journal);
    if (!opened.ok()) return opened.status();
    journal_ = *std::move(opened);
    LocalStoreDoors doors;
    for (size_t i = 0; i < executor_count_; ++i) {
      executors_.push_back(world_.NewExecutor(absl::StrCat("store", i)));
      doors.executors.push_back(executors_.back().get());
    }
    client_ = world_.NewExecutor("client");
    doors.clock = &world_.clock();
    doors.random = &world_.random();
    network_ = world_.NewExecutor("network");
    distant_journal_ = std::make_unique<sim::DistantJournal>(sim::DistantJournal::Wiring{
        *journal_, *network_, world_.clock(), world_.random(), journal_delay_max});
    doors.journal = distant_journal_.get();
    doors.memory = &memory_;
    doors.budget = budget;
    doors.workers = workers;
    checkpoint_runner_ =
        world_.NewBlockingRunner("checkpoints", absl::Microseconds(50), absl::Milliseconds(5));
    doors.checkpoints = &checkpoints_;
    doors.checkpoint_disk = checkpoint_runner_.get();
    doors.journal_bytes = [this] { return journal_->stats().log.size_bytes.load(); };
    options_.identity = journal_->store_id();
    options_.history = journal_->history();
    store_ = LocalStore::Create(options_, doors);
    started_.reset();
    store_->Start([this](absl::Status status) { started_ = std::move(status); });
    return absl::OkStatus();
  }
  bool started() const { return started_.has_value(); }
  void Shut() {
    if (journal_ == nullptr) return;
    if (store_ != nullptr) store_->Stop();
    world_.RunFor(absl::Milliseconds(100));
    journal_->Stop();
    world_.RunFor(absl::Milliseconds(100));
    for (auto& executor : executors_) world_.Kill(*executor);
    world_.Kill(*client_);
    world_.Kill(*network_);
    store_ = nullptr;
    distant_journal_ = nullptr;
    network_ = nullptr;
    journal_ = nullptr;
    world_.Kill(*journal_executor_);
    executors_.clear();
    client_ = nullptr;
    runner_ = nullptr;
    checkpoint_runner_ = nullptr;
    checkpoints_.ProcessDied();
    journal_executor_ = nullptr;
  }
  absl::Status Restart(LocalStoreOptions options) {
    Shut();
    SetOptions(std::move(options));
    return Start();
  }
  absl::Status Restart() { return Restart(options_); }
  void SetOptions(LocalStoreOptions options) {  // for the next start
    options_ = std::move(options);
    options_.segment_size_bytes = 1 << 16;
  }

  // Runs `call(callback)` and waits for the answer.
  template <typename Result, typename Call>
  absl::StatusOr<kvstore::Reply<Result>> Wait(Call call) {
    auto answer = std::make_shared<std::optional<absl::StatusOr<kvstore::Reply<Result>>>>();
    call(ReplyCallback<Result>(
        [answer](absl::StatusOr<kvstore::Reply<Result>> reply) { *answer = std::move(reply); }));
    if (!world_.RunUntil([&] { return answer->has_value(); }, absl::Minutes(1))) {
      ADD_FAILURE() << "no answer";
      return absl::DeadlineExceededError("no answer");
    }
    return std::move(**answer);
  }
  auto Put(etcdserverpb::PutRequest request) {
    return Wait<kvstore::PutResult>([&](auto done) { router().Put({}, request, std::move(done)); });
  }
  auto Put(const std::string& key, const std::string& value, int64_t lease = 0) {
    etcdserverpb::PutRequest request;
    request.set_key(key);
    request.set_value(value);
    request.set_lease(lease);
    return Put(request);
  }
  auto Range(etcdserverpb::RangeRequest request) {
    return Wait<kvstore::RangeResult>(
        [&](auto done) { router().Range({}, request, std::move(done)); });
  }
  auto Range(const std::string& key, const std::string& end) {
    etcdserverpb::RangeRequest request;
    request.set_key(key);
    request.set_range_end(end);
    return Range(request);
  }
  auto DeleteRange(etcdserverpb::DeleteRangeRequest request) {
    return Wait<kvstore::DeleteResult>(
        [&](auto done) { router().DeleteRange({}, request, std::move(done)); });
  }
  auto Txn(etcdserverpb::TxnRequest request) {
    return Wait<kvstore::TxnResult>([&](auto done) { router().Txn({}, request, std::move(done)); });
  }
  auto Compact(int64_t revision, bool physical) {
    etcdserverpb::CompactionRequest request;
    request.set_revision(revision);
    request.set_physical(physical);
    return Wait<Nothing>([&](auto done) { router().Compact({}, request, std::move(done)); });
  }
  auto HashKv(int64_t revision) {
    return Wait<HashKvResult>(
        [&](auto done) { router().HashKv(Revision(revision), std::move(done)); });
  }
  auto Grant(int64_t id, int64_t ttl) {
    return Wait<LeaseGranted>([&](auto done) { router().LeaseGrant(id, ttl, std::move(done)); });
  }
  auto Revoke(int64_t id) {
    return Wait<Nothing>([&](auto done) { router().LeaseRevoke(LeaseId(id), std::move(done)); });
  }
  auto KeepAlive(int64_t id) {
    return Wait<LeaseRemaining>(
        [&](auto done) { router().LeaseKeepAlive(LeaseId(id), std::move(done)); });
  }
  auto TimeToLive(int64_t id, bool keys) {
    return Wait<LeaseLife>(
        [&](auto done) { router().LeaseTimeToLive(LeaseId(id), keys, std::move(done)); });
  }
  auto Alarm(etcdserverpb::AlarmRequest::AlarmAction action, uint64_t member,
             etcdserverpb::AlarmType type) {
    etcdserverpb::AlarmRequest request;
    request.set_action(action);
    request.set_memberid(member);
    request.set_alarm(type);
    return Wait<std::vector<AlarmEntry>>(
        [&](auto done) { router().Alarm(request, std::move(done)); });
  }
  auto Defragment() {
    return Wait<Nothing>([&](auto done) { router().Defragment(std::move(done)); });
  }

  uint64_t journal_segment_bytes = 1 << 20;        // for the next Start
  uint64_t journal_payload_bytes_max = 256 << 20;  // the same
  absl::Duration journal_delay_max;                // the same
  MemoryBudget* budget = nullptr;                  // the same; must outlive this
  ParallelRunner* workers = nullptr;               // the same
  // Between Shut and Start.
  void LoseMemory() {
    for (const std::string& name : memory_.Leftovers()) memory_.Remove(name);
  }
  using Memory = std::map<std::string, std::string>;  // bytes of regions
  Memory CopyMemory() {
    Memory copy;
    for (const std::string& name : memory_.Leftovers()) {
      const absl::Span<char> bytes = memory_.Bytes(name);
      copy[name] = std::string(bytes.data(), bytes.size());
    }
    return copy;
  }
  void ReplaceMemory(const Memory& copy) {
    LoseMemory();
    for (const auto& [name, bytes] : copy) {
      std::copy(bytes.begin(), bytes.end(), (*memory_.Create(name, bytes.size()))->data());
    }
  }
  HeapMapper& memory() { return memory_; }
  sim::MemoryCheckpointStore& checkpoints() { return checkpoints_; }
  sim::SimDisk& disk() { return *disk_; }
  // Between Shut and Start.
  void ReplaceDisk(std::unique_ptr<sim::SimDisk> disk) { disk_ = std::move(disk); }
  // Until not even the smallest entry finds room.
  void FillDisk(const std::string& key = "/registry/pods/fill") {
    disk_->SetCapacityBytes(disk_->used_bytes());
    for (const size_t bytes : {4096, 1}) {
      while (Put(key, std::string(bytes, 'v')).ok()) {
      }
    }
  }
  journal::EmbeddedJournal& journal() { return *journal_; }
  // Until a round that began after this call is over: one may be running. Each needs a write.
  void MakeCheckpoints() {
    const CheckpointStats& stats = store_->checkpoint_stats();
    for (int i = 0; i < 2; ++i) {
      const int64_t rounds = stats.rounds;
      EXPECT_TRUE(Put("checkpoint", "now").ok());
      EXPECT_TRUE(world_.RunUntil([&] { return stats.rounds > rounds; }, absl::Minutes(30)));
    }
  }

  const LocalStoreOptions& options() const { return options_; }
  Executor& executor(size_t number) { return *executors_[number]; }
  Router& router() { return store_->router(); }
  LocalStore& store() { return *store_; }
  sim::World& world() { return world_; }
  Executor& client() { return *client_; }

 private:
  sim::World world_;
  sim::ScopedCrashHandlers crashes_;
  std::unique_ptr<sim::SimDisk> disk_;
  HeapMapper memory_;
  sim::MemoryCheckpointStore checkpoints_{0};
  LocalStoreOptions options_;
  const size_t executor_count_;
  std::unique_ptr<Executor> journal_executor_;
  std::unique_ptr<BlockingRunner> runner_;
  std::unique_ptr<BlockingRunner> checkpoint_runner_;
  std::vector<std::unique_ptr<Executor>> executors_;
  std::unique_ptr<Executor> client_;
  std::unique_ptr<journal::EmbeddedJournal> journal_;
  std::unique_ptr<Executor> network_;
  std::unique_ptr<sim::DistantJournal> distant_journal_;
  std::unique_ptr<LocalStore> store_;
  std::optional<absl::Status> started_;
};

// What a stream said, in order, as lines.
class RecordingOutput : public WatchOutput {
 public:
  void OnCreated(int64_t id, Revision header) override {
    lines.push_back(absl::StrCat("created ", id, " at ", header.value()));
  }
  void OnCreateRefused(Revision, absl::string_view reason) override {
    lines.push_back(absl::StrCat("refused ", reason));
  }
  void OnEvents(int64_t id, mvcc::EventBatchPtr batch, Revision header, bool) override {
    for (const mvcc::Event& event : batch->events()) {
      std::string line =
          absl::StrCat("event ", id, " ", event.revision.main.value(), ".", event.revision.sub,
                       event.type == mvcc::Event::Type::kPut ? " put " : " delete ", event.key, " ",
                       absl::CHexEscape(event.kv.view()));
      if (event.prev_kv) absl::StrAppend(&line, " was ", absl::CHexEscape(event.prev_kv->view()));
      lines.push_back(std::move(line));
      EXPECT_LE(event.revision.main, header);
    }
    if (!batch->events().empty()) last_event[id] = batch->events().back().revision.main;
    unconsumed_bytes += batch->encoded_size_bytes();
    ++batches;
  }
  void OnCanceled(int64_t id, Revision) override { lines.push_back(absl::StrCat("canceled ", id)); }
  void OnCompacted(int64_t id, Revision compact) override {
    lines.push_back(absl::StrCat("compacted ", id, " ", compact.value()));
  }
  void OnProgress(int64_t id, Revision header) override {
    lines.push_back(absl::StrCat("progress ", id, " ", header.value()));
    progress.push_back({id, header});
  }

  std::vector<std::string> LinesWith(absl::string_view start) const {
    std::vector<std::string> out;
    for (const std::string& line : lines) {
      if (line.rfind(std::string(start), 0) == 0) out.push_back(line);
    }
    return out;
  }

  std::vector<std::string> lines;
  std::vector<std::pair<int64_t, Revision>> progress;
  std::map<int64_t, Revision> last_event;
  size_t unconsumed_bytes = 0;
  int batches = 0;
};

}  // namespace tidemark::partition
