#include "src/partition/local_store.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "src/base/check.h"
#include "src/base/log.h"
#include "src/partition/compaction.h"
#include "src/partition/coordinator.h"
#include "src/partition/gated_router.h"
#include "src/partition/lease_manager.h"
#include "src/partition/local_router.h"
#include "src/partition/parts.h"
#include "src/partition/read_gate.h"
#include "src/partition/space_guard.h"
#include "src/partition/start_gate.h"
#include "src/partition/store_names.h"
#include "src/partition/store_starter.h"

namespace tidemark::partition {
namespace {

class LocalStoreImpl final : public LocalStore, private kvstore::ApplyObserver {
 public:
  LocalStoreImpl(LocalStoreOptions options, LocalStoreDoors doors);
  ~LocalStoreImpl() override { alive_->store(false); }

  void Start(absl::AnyInvocable<void(absl::Status)> done) override;
  void Stop() override;
  Router& router() override { return *gated_router_; }
  bool IsWhole(PartitionId partition) const override { return gate_->IsWhole(partition); }
  size_t whole_count() const override { return gate_->whole_count(); }
  const PartitionMap& map() const override { return parts_.map(); }
  kvstore::Replica& replica(PartitionId partition) override { return parts_.replica(partition); }
  const CheckpointStats& checkpoint_stats() const override {
    return checkpointer_ == nullptr ? no_checkpoints_ : checkpointer_->stats();
  }
  const mvcc::SegmentRoom& segment_room() const override { return *room_; }
  void CheckIdle() const override;

 private:
  void AssembleParts();
  void AssembleServices();
  void AssembleCheckpoints();

  void OnWhole(PartitionId id, Epoch epoch);
  void OnStarted(absl::Status status);
  void Serve();

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
  std::unique_ptr<StartGate> gate_;
  std::unique_ptr<GatedRouter> gated_router_;
  std::unique_ptr<AutoCompactor> auto_compactor_;
  std::unique_ptr<Checkpointer> checkpointer_;
  const CheckpointStats no_checkpoints_;
  std::unique_ptr<StoreStarter> starter_;

  std::atomic<int64_t> lease_count_{0};
  std::atomic<bool> stopped_{false};
  absl::AnyInvocable<void(absl::Status)> start_done_;
};

LocalStoreImpl::LocalStoreImpl(LocalStoreOptions options, LocalStoreDoors doors)
    : options_(std::move(options)), doors_(std::move(doors)), parts_(options_.map) {
  CHECK(!doors_.executors.empty());
  CHECK(doors_.clock != nullptr && doors_.random != nullptr);
  CHECK(doors_.journal != nullptr && doors_.memory != nullptr);
  AssembleParts();
  AssembleServices();
  AssembleCheckpoints();
  starter_ = std::make_unique<StoreStarter>(options_, doors_, parts_);
}

void LocalStoreImpl::AssembleParts() {
  const size_t segment_size_bytes = SegmentSize();
  doors_.memory->Expect(segment_size_bytes);
  room_ =
      std::make_shared<mvcc::SegmentRoom>(*doors_.memory, parts_.map().size(), segment_size_bytes);
  for (PartitionId id : parts_.map().ids()) {
    kvstore::ReplicaOptions replica;
    replica.partition = id;
    replica.origin = OriginId(doors_.random->Next());
    replica.max_txn_ops = options_.max_txn_ops;
    replica.max_pending_writes = options_.max_pending_writes;
    replica.slow_apply = options_.slow_apply;
    replica.store = StoreOptionsOf(options_.identity, id);
    replica.store.start_id = options_.history.newest_id();
    replica.store.segment_size_bytes = segment_size_bytes;
    replica.store.budget = &budget();
    replica.store.room = room_.get();
    // One of them tells the node; they all apply the same.
    Executor& executor = *doors_.executors[id.value() % doors_.executors.size()];
    ApplyObserver* observer = id == kSystemPartition ? this : nullptr;
    parts_.Add(kvstore::Replica::Create(std::move(replica), executor, *doors_.clock,
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
  leases_ = std::make_unique<LeaseManager>(*coordinator_, lessor, *doors_.clock, *doors_.random,
                                           options_.request_patience);
  compactions_ = std::make_unique<CompactionRunner>(
      *coordinator_, *doors_.clock,
      CompactionRunner::Observers{[this] { guard_->OnSpaceFreed(); }, options_.observe_compaction});
  router_ = std::make_unique<LocalRouter>(
      LocalRouter::Wiring{parts_, *doors_.journal, *doors_.clock, *coordinator_, *guard_, *leases_,
                          *compactions_, *reads_, budget(), lease_count_},
      RouterLimits{options_.max_request_bytes, options_.max_txn_ops, options_.watch_credit_bytes});
  StartGate::Limits gate;
  gate.waiting_max = options_.max_pending_writes;
  gate.patience = options_.request_patience;
  gate_ = std::make_unique<StartGate>(parts_.size(), home(), *doors_.clock, gate);
  gated_router_ = std::make_unique<GatedRouter>(
      GatedRouter::Wiring{*router_, *gate_, parts_.map(), *guard_}, options_.max_txn_ops);
  auto_compactor_ = std::make_unique<AutoCompactor>(
      options_.auto_compaction, home(), *doors_.clock,
      [this] { return parts_.system().watermark().revision; },
      [this](Revision revision, absl::AnyInvocable<void(absl::Status)> done) {
        etcdserverpb::CompactionRequest request;
        request.set_revision(revision.value());
        gated_router_->Compact(
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
    starter_->Start({[this] { guard_->SetBytesToLoad(starter_->BytesToLoad()); },
                     [this](PartitionId id, Epoch epoch) { OnWhole(id, epoch); },
                     [this](absl::Status status) { OnStarted(std::move(status)); }});
  });
}

void LocalStoreImpl::OnWhole(PartitionId id, Epoch epoch) {
  coordinator_->SetEpoch(id, epoch);
  guard_->SetBytesToLoad(starter_->BytesToLoad());
  gate_->SetWhole(id);
}

void LocalStoreImpl::OnStarted(absl::Status status) {
  if (status.ok()) {
    if (stopped_) return;
    Serve();
  }
  std::exchange(start_done_, nullptr)(std::move(status));
}

// What is about all partitions.
void LocalStoreImpl::Serve() {
  guard_->StartServing();
  leases_->StartServing();
  compactions_->FinishReplayed();
  auto_compactor_->Start();
  if (checkpointer_ != nullptr) checkpointer_->Start(starter_->good_checkpoints());
}

void LocalStoreImpl::Stop() {
  stopped_ = true;
  starter_->Stop();
  router_->SetStopped();
  coordinator_->Stop();
  if (doors_.checkpoints != nullptr) doors_.checkpoints->Interrupt();
  home().Post([this] {
    gate_->Stop();
    leases_->Stop();
    guard_->Stop();
    reads_->Stop();
    auto_compactor_->Stop();
    if (checkpointer_ != nullptr) checkpointer_->Stop();
  });
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
  leases_->CheckIdle();
  CHECK(gate_->idle());
  CHECK(room_->reserved_bytes() == 0);
  for (PartitionId id : parts_.ids()) parts_.replica(id).CheckInvariants();
}

}  // namespace

std::unique_ptr<LocalStore> LocalStore::Create(LocalStoreOptions options, LocalStoreDoors doors) {
  return std::make_unique<LocalStoreImpl>(std::move(options), std::move(doors));
}

}  // namespace tidemark::partition
