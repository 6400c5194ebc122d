#include "src/partition/local_store.h"

#include <algorithm>
#include <atomic>
#include <set>
#include <utility>

#include "src/base/check.h"
#include "src/base/failpoint.h"
#include "src/base/log.h"
#include "src/partition/compaction.h"
#include "src/partition/coordinator.h"
#include "src/partition/lease_manager.h"
#include "src/partition/local_router.h"
#include "src/partition/map_entry.h"
#include "src/partition/parts.h"
#include "src/partition/read_gate.h"
#include "src/partition/replica_starter.h"
#include "src/partition/space_guard.h"
#include "src/partition/start_progress.h"
#include "src/partition/store_names.h"

namespace tidemark::partition {
namespace {

class LocalStoreImpl final : public LocalStore, private kvstore::ApplyObserver {
 public:
  LocalStoreImpl(LocalStoreOptions options, LocalStoreDoors doors);
  ~LocalStoreImpl() override { alive_->store(false); }

  void Start(absl::AnyInvocable<void(absl::Status)> done) override;
  void Stop() override;
  Router& router() override { return *router_; }
  const PartitionMap& map() const override { return parts_.map(); }
  kvstore::Replica& replica(PartitionId partition) override { return parts_.replica(partition); }
  const CheckpointStats& checkpoint_stats() const override {
    return checkpointer_ == nullptr ? no_checkpoints_ : checkpointer_->stats();
  }
  const mvcc::SegmentRoom& segment_room() const override { return *room_; }
  void CheckIdle() const override;

 private:
  // The partitions of one executor and their delivery.
  struct Feed {
    Executor* executor = nullptr;
    std::vector<PartitionId> partitions;
    std::vector<std::unique_ptr<ReplicaStarter>> starters;
    size_t starting = 0;
    bool has_image = false;
    Position next{UINT64_MAX};  // the earliest that one of its partitions needs
    std::unique_ptr<journal::Subscription> subscription;
    Revision compacted{-1};
  };

  void AssembleParts();
  void AssembleServices();
  void AssembleCheckpoints();

  // In the order of starting; on home, or on the feed's executor where it takes one.
  void OnTail(absl::StatusOr<journal::Tail> tail);
  void StartFeed(Feed& feed, const journal::Tail& tail);
  void OnReplicaStarted(Feed& feed, PartitionId id, const journal::Tail& tail,
                        absl::StatusOr<ReplicaStarter::Started> started);
  void SubscribeFeed(Feed& feed);
  void WaitForReplay(const journal::Tail& tail);
  void Deliver(Feed& feed, const journal::Batch& batch);
  void LogProgress();
  Position SlowestApplied();
  void OnReplayed();
  void WriteMap();
  void ClaimAll();
  void Serve(std::vector<Epoch> epochs);
  void FailStart(absl::Status status);

  void OnLeaseGranted(LeaseId id, int64_t ttl_seconds) override;
  void OnLeaseRevoked(LeaseId id) override;
  void OnLeaseRemaining(LeaseId id, int64_t seconds) override { leases_->OnRemaining(id, seconds); }
  void OnAlarm(uint64_t member, int type, bool raised) override {
    guard_->OnAlarm(member, type, raised);
  }

  Executor& home() { return *doors_.executors.front(); }
  MemoryBudget& budget() {
    return doors_.budget != nullptr ? *doors_.budget : MemoryBudget::Unlimited();
  }
  size_t SegmentSize() {
    const int64_t share_bytes = budget().share_bytes(MemoryAccount::kValues);
    return mvcc::SegmentRoom::SegmentSizeFor(
        options_.segment_size_bytes, parts_.map().size(),
        std::min(doors_.memory->space().total_bytes, static_cast<uint64_t>(share_bytes)));
  }

  const LocalStoreOptions options_;
  const LocalStoreDoors doors_;
  std::shared_ptr<std::atomic<bool>> alive_ = std::make_shared<std::atomic<bool>>(true);
  std::shared_ptr<mvcc::SegmentRoom> room_;
  Parts parts_;
  std::unique_ptr<ReadGate> reads_;
  std::unique_ptr<Coordinator> coordinator_;
  std::unique_ptr<SpaceGuard> guard_;
  std::unique_ptr<LeaseManager> leases_;
  std::unique_ptr<CompactionRunner> compactions_;
  std::unique_ptr<LocalRouter> router_;
  std::unique_ptr<AutoCompactor> auto_compactor_;
  std::unique_ptr<Checkpointer> checkpointer_;
  const CheckpointStats no_checkpoints_;
  InlineParallelRunner alone_;
  StartProgress progress_;
  std::vector<Feed> feeds_;
  std::set<PartitionId> good_checkpoints_;  // home
  size_t feeds_starting_ = 0;               // home
  Position replay_from_{UINT64_MAX};        // home
  MapEntry map_entry_;

  std::atomic<int64_t> lease_count_{0};
  std::atomic<bool> replaying_{true};
  std::atomic<bool> stopped_{false};
  absl::AnyInvocable<void(absl::Status)> start_done_;
  TimerId progress_timer_ = 0;
};

LocalStoreImpl::LocalStoreImpl(LocalStoreOptions options, LocalStoreDoors doors)
    : options_(std::move(options)),
      doors_(std::move(doors)),
      parts_(options_.map),
      progress_(*doors_.clock),
      map_entry_(options_.map.CanonicalText()) {
  CHECK(!doors_.executors.empty());
  CHECK(doors_.clock != nullptr && doors_.random != nullptr);
  CHECK(doors_.journal != nullptr && doors_.memory != nullptr);
  AssembleParts();
  AssembleServices();
  AssembleCheckpoints();
}

void LocalStoreImpl::AssembleParts() {
  const size_t segment_size_bytes = SegmentSize();
  room_ =
      std::make_shared<mvcc::SegmentRoom>(*doors_.memory, parts_.map().size(), segment_size_bytes);
  feeds_.resize(std::min(doors_.executors.size(), parts_.map().size()));
  for (size_t i = 0; i < feeds_.size(); ++i) feeds_[i].executor = doors_.executors[i];
  for (PartitionId id : parts_.map().ids()) {
    progress_.Of(id);
    Feed& feed = feeds_[id.value() % feeds_.size()];
    feed.partitions.push_back(id);
    kvstore::ReplicaOptions replica;
    replica.partition = id;
    replica.origin = OriginId(doors_.random->Next());
    replica.max_txn_ops = options_.max_txn_ops;
    replica.max_pending_writes = options_.max_pending_writes;
    replica.slow_apply = options_.slow_apply;
    replica.store = StoreOptionsOf(options_.identity, id);
    replica.store.segment_size_bytes = segment_size_bytes;
    replica.store.budget = &budget();
    replica.store.room = room_.get();
    // One of them tells the node; they all apply the same.
    ApplyObserver* observer = id == kSystemPartition ? this : nullptr;
    parts_.Add(kvstore::Replica::Create(std::move(replica), *feed.executor, *doors_.clock,
                                        *doors_.journal, *doors_.memory, observer));
  }
}

void LocalStoreImpl::AssembleServices() {
  coordinator_ = std::make_unique<Coordinator>(
      parts_, *doors_.journal, room_, OriginId(doors_.random->Next()), options_.max_pending_writes);
  guard_ = std::make_unique<SpaceGuard>(
      SpaceGuard::Doors{*coordinator_, *doors_.memory, budget(), *doors_.clock}, options_.member_id,
      options_.quota_bytes);
  reads_ = std::make_unique<ReadGate>(budget(), home(), *doors_.clock);
  kvstore::LessorOptions lessor;
  lessor.min_ttl_seconds = options_.min_lease_ttl_seconds;
  leases_ = std::make_unique<LeaseManager>(*coordinator_, lessor, *doors_.clock, *doors_.random);
  compactions_ = std::make_unique<CompactionRunner>(
      *coordinator_, *doors_.clock,
      CompactionRunner::Observers{[this] { guard_->OnSpaceFreed(); }, options_.observe_compaction});
  router_ = std::make_unique<LocalRouter>(
      LocalRouter::Wiring{parts_, *doors_.journal, *doors_.clock, *coordinator_, *guard_, *leases_,
                          *compactions_, *reads_, budget(), lease_count_},
      RouterLimits{options_.max_request_bytes, options_.max_txn_ops, options_.watch_credit_bytes});
  auto_compactor_ = std::make_unique<AutoCompactor>(
      options_.auto_compaction, home(), *doors_.clock,
      [this] { return parts_.system().watermark().revision; },
      [this](Revision revision, absl::AnyInvocable<void(absl::Status)> done) {
        etcdserverpb::CompactionRequest request;
        request.set_revision(revision.value());
        router_->Compact(
            {}, request,
            [done = std::move(done)](absl::StatusOr<kvstore::Reply<Nothing>> reply) mutable {
              done(reply.status());
            });
      });
}

void LocalStoreImpl::AssembleCheckpoints() {
  if (doors_.checkpoints == nullptr) return;
  CHECK(doors_.checkpoint_disk != nullptr && doors_.journal_bytes != nullptr);
  checkpointer_ = std::make_unique<Checkpointer>(
      options_.checkpoints,
      Checkpointer::Doors{parts_, *doors_.checkpoints, *doors_.journal, doors_.journal_bytes,
                          home(), *doors_.clock, *doors_.checkpoint_disk},
      options_.map.CanonicalText());
}

void LocalStoreImpl::Start(absl::AnyInvocable<void(absl::Status)> done) {
  home().Post([this, done = std::move(done)]() mutable {
    start_done_ = std::move(done);
    doors_.journal->ConfirmTail([this, alive = alive_](absl::StatusOr<journal::Tail> tail) {
      if (!*alive) return;
      home().Post([this, tail = std::move(tail)] { OnTail(tail); });
    });
  });
}

void LocalStoreImpl::OnTail(absl::StatusOr<journal::Tail> tail) {
  if (!tail.ok()) return FailStart(tail.status());
  progress_.Begin(tail->position);
  LogProgress();
  feeds_starting_ = feeds_.size();
  for (Feed& feed : feeds_) {
    feed.executor->Post([this, &feed, tail = *tail] { StartFeed(feed, tail); });
  }
}

void LocalStoreImpl::StartFeed(Feed& feed, const journal::Tail& tail) {
  feed.starting = feed.partitions.size();
  for (PartitionId id : feed.partitions) {
    const ReplicaStarter::Doors doors{parts_.replica(id), doors_.checkpoints,
                                      doors_.workers != nullptr ? *doors_.workers : alone_,
                                      *doors_.clock, progress_.Of(id)};
    feed.starters.push_back(std::make_unique<ReplicaStarter>(
        doors, std::string(parts_.map().name(id)), options_.map.CanonicalText()));
    feed.starters.back()->Start({doors_.journal->KnownFirst(), tail},
                                [this, &feed, id, tail](absl::StatusOr<ReplicaStarter::Started> s) {
                                  OnReplicaStarted(feed, id, tail, std::move(s));
                                });
  }
}

void LocalStoreImpl::OnReplicaStarted(Feed& feed, PartitionId id, const journal::Tail& tail,
                                      absl::StatusOr<ReplicaStarter::Started> started) {
  if (!started.ok()) return FailStart(started.status());
  feed.next = std::min(feed.next, started->next);
  feed.has_image |= started->has_image;
  const bool is_good = started->is_good || PLANTED_BUG("checkpoint_damaged_counts_as_good");
  home().Post([this, id, is_good] {
    if (is_good) good_checkpoints_.insert(id);
    progress_.LoadedOne();
  });
  if (--feed.starting > 0) return;
  home().Post([this, has_image = feed.has_image, next = feed.next, tail] {
    replay_from_ = std::min(replay_from_, next);
    // The map is older than any checkpoint, and the starters compared it.
    if (has_image) map_entry_.SetSeen();
    if (--feeds_starting_ > 0) return;
    progress_.BeginReplay(replay_from_);
    for (Feed& each : feeds_) {
      each.executor->Post([this, &each] { SubscribeFeed(each); });
    }
    WaitForReplay(tail);
  });
}

void LocalStoreImpl::SubscribeFeed(Feed& feed) {
  feed.starters.clear();
  std::vector<PartitionId> partitions = feed.partitions;
  if (&feed == &feeds_.front()) partitions.push_back(MapEntry::kPartition);
  auto subscription = doors_.journal->Subscribe(
      feed.next, std::move(partitions), [this, &feed](std::shared_ptr<const journal::Batch> b) {
        feed.executor->Post([this, &feed, b = std::move(b)] { Deliver(feed, *b); });
      });
  if (subscription.ok()) {
    feed.subscription = *std::move(subscription);
  } else {
    home().Post([this, status = subscription.status()] { FailStart(status); });
  }
}

void LocalStoreImpl::Deliver(Feed& feed, const journal::Batch& batch) {
  if (stopped_ || feed.subscription == nullptr) return;
  if (&feed == &feeds_.front()) {
    if (absl::Status status = map_entry_.Look(batch); !status.ok()) {
      feed.subscription = nullptr;  // nothing behind it means what we would take it for
      return FailStart(std::move(status));
    }
  }
  for (PartitionId id : feed.partitions) {
    parts_.replica(id).Apply(batch);
    parts_.hub(id).OnApplied();
  }
  // What the journal compacted once must not pile up while it is read again.
  kvstore::Replica& first = parts_.replica(feed.partitions.front());
  if (replaying_ && first.store().compact_revision() > feed.compacted) {
    feed.compacted = first.store().compact_revision();
    for (PartitionId id : feed.partitions) parts_.replica(id).RunCompaction([] {});
  }
  feed.subscription->Acknowledge(batch.tail.position);
}

void LocalStoreImpl::WaitForReplay(const journal::Tail& tail) {
  AskAll<bool>(
      parts_, parts_.ids(), home(),
      [position = tail.position](kvstore::Replica& replica, size_t,
                                 absl::AnyInvocable<void(bool)> answer) {
        replica.WhenApplied(position,
                            [answer = std::move(answer)](journal::Tail) mutable { answer(true); });
      },
      [this](std::vector<bool>) { OnReplayed(); });
}

Position LocalStoreImpl::SlowestApplied() {
  int64_t slowest = INT64_MAX;
  for (PartitionId id : parts_.ids()) {
    slowest = std::min(slowest, parts_.replica(id).stats().applied_position.load());
  }
  return Position(static_cast<uint64_t>(slowest));
}

void LocalStoreImpl::LogProgress() {
  const absl::Duration next = doors_.clock->Monotonic() + options_.progress_log_interval;
  progress_timer_ = home().PostAt(next, [this] {
    if (start_done_ == nullptr || stopped_ || !replaying_) return;
    progress_.Log(SlowestApplied());
    LogProgress();
  });
}

void LocalStoreImpl::OnReplayed() {
  if (start_done_ == nullptr) return;
  replaying_ = false;
  home().Cancel(progress_timer_);
  TLOG(kInfo, "replayed journal",
       {{"position", parts_.system().watermark().position.value()},
        {"revision", parts_.system().watermark().revision.value()}});
  if (map_entry_.seen()) return ClaimAll();
  WriteMap();
}

void LocalStoreImpl::WriteMap() {
  map_entry_.Write(*doors_.journal, home(), OriginId(doors_.random->Next()),
                   [this, alive = alive_](absl::Status status) {
                     if (!*alive || start_done_ == nullptr) return;
                     if (!status.ok()) return FailStart(std::move(status));
                     ClaimAll();
                   });
}

void LocalStoreImpl::ClaimAll() {
  AskAll<absl::StatusOr<Epoch>>(
      parts_, parts_.ids(), home(),
      [](kvstore::Replica& replica, size_t,
         absl::AnyInvocable<void(absl::StatusOr<Epoch>)> answer) {
        replica.BecomePrimary([&replica, answer = std::move(answer)](absl::Status status) mutable {
          if (!status.ok()) return answer(std::move(status));
          answer(replica.epoch());
        });
      },
      [this](std::vector<absl::StatusOr<Epoch>> answers) {
        std::vector<Epoch> epochs;
        for (auto& answer : answers) {
          if (!answer.ok()) return FailStart(answer.status());
          epochs.push_back(*answer);
        }
        Serve(std::move(epochs));
      });
}

void LocalStoreImpl::Serve(std::vector<Epoch> epochs) {
  if (start_done_ == nullptr || stopped_) return;
  coordinator_->SetEpochs(std::move(epochs));
  guard_->StartServing();
  leases_->StartServing();
  compactions_->FinishReplayed();
  auto_compactor_->Start();
  if (checkpointer_ != nullptr) checkpointer_->Start(good_checkpoints_);
  router_->SetServing();
  std::exchange(start_done_, nullptr)(absl::OkStatus());
}

void LocalStoreImpl::FailStart(absl::Status status) {
  if (!home().IsCurrent()) {
    return home().Post([this, status = std::move(status)] { FailStart(status); });
  }
  if (start_done_ != nullptr) std::exchange(start_done_, nullptr)(std::move(status));
}

void LocalStoreImpl::Stop() {
  stopped_ = true;
  progress_.Cancel();
  router_->SetStopped();
  coordinator_->Stop();
  home().Post([this] {
    leases_->Stop();
    guard_->Stop();
    reads_->Stop();
    auto_compactor_->Stop();
    if (checkpointer_ != nullptr) checkpointer_->Stop();
    home().Cancel(progress_timer_);
  });
  for (Feed& feed : feeds_) {
    feed.executor->Post([&feed] { feed.subscription = nullptr; });
  }
}

void LocalStoreImpl::OnLeaseGranted(LeaseId id, int64_t ttl_seconds) {
  leases_->OnGranted(id, ttl_seconds);
  lease_count_ = static_cast<int64_t>(leases_->size());
}

void LocalStoreImpl::OnLeaseRevoked(LeaseId id) {
  leases_->OnRevoked(id);
  lease_count_ = static_cast<int64_t>(leases_->size());
}

void LocalStoreImpl::CheckIdle() const {
  coordinator_->CheckIdle();
  CHECK(room_->reserved_bytes() == 0);
  for (PartitionId id : parts_.ids()) parts_.replica(id).CheckInvariants();
}

}  // namespace

std::unique_ptr<LocalStore> LocalStore::Create(LocalStoreOptions options, LocalStoreDoors doors) {
  return std::make_unique<LocalStoreImpl>(std::move(options), std::move(doors));
}

}  // namespace tidemark::partition
