// WatchStream over the ports of a store.
//
// Hides the order in which requests, tails, events and answers meet: everything happens in one
// wake-up handler on the stream's sequence (OnWake), so output is never inline from a call.
// Sequence-bound to the stream's executor.
//
// Invariants:
//  1. by_id_ and by_key_ name the same watches.
//  2. Creates, cancels and progress requests take effect in the order they came.
//  3. A progress message for the stream is never behind an event or progress that left before it.
//  4. A progress message leaves only after every watch it speaks for was seen caught up at its
//     revision by all its partitions, behind their events (P3).
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "src/journal/journal.h"
#include "src/partition/parts.h"
#include "src/partition/watch_mailbox.h"
#include "src/partition/watch_merge.h"
#include "src/partition/watch_port.h"
#include "src/partition/watch_stream.h"

namespace tidemark::partition {

class WatchStreamImpl final : public WatchStream {
 public:
  struct Wiring {
    const Parts& parts;
    journal::Journal& journal;
    Clock& clock;
    MemoryBudget& memory;
  };
  WatchStreamImpl(const Wiring& wiring, size_t credit_bytes, Executor& executor,
                  WatchOutput& output);
  ~WatchStreamImpl() override;

  bool Create(const etcdserverpb::WatchCreateRequest& request) override;
  bool Cancel(int64_t watch_id) override;
  bool RequestProgress() override;
  void NotifyProgress() override;
  void Consumed(size_t bytes) override;
  int64_t watch_count() const override { return static_cast<int64_t>(by_id_.size()); }

 private:
  struct Watch {
    WatchKey key = 0;
    int64_t id = 0;
    mvcc::WatchSpec spec;
    Revision asked_start{0};  // as in the request: 0 is "from now on"
    bool progress_notify = false;
    bool fragment = false;
    bool sent_since_tick = false;
    MemoryCharge charge;
    std::vector<PartitionId> owners;
    // Over several partitions only; parts in the order of owners.
    std::unique_ptr<WatchMerge> merge;
    std::vector<std::shared_ptr<WatchPort>> merge_ports;
  };
  struct Control {
    enum class Kind { kCreate, kCancel, kProgress, kNotify };
    Kind kind = Kind::kCreate;
    etcdserverpb::WatchCreateRequest create;
    MemoryCharge charge;  // of the watch to be
    int64_t watch_id = 0;
  };
  // A question to all ports whether their watches are caught up.
  struct Round {
    bool notify = false;  // per watch, for progress_notify; else one for the stream
    uint64_t ticket = 0;
    bool has_tail = false;
    journal::Tail tail;
    size_t answers_missing = 0;
    WatchKey first_new = 0;  // watches created later are not covered
    absl::flat_hash_set<WatchKey> behind;
  };

  static constexpr size_t kMaxControls = 10000;
  // Under steady traffic a question may be overtaken again and again; the client asks again, too.
  static constexpr int kRoundsOvertakenMax = 20;
  static constexpr size_t kMinMergeCreditBytes = 64 << 10;
  // On the heap, without watches.
  static constexpr int64_t kStreamBytes = 1 << 10;

  bool Enqueue(Control control);  // false: full
  bool EnqueueRound(Control::Kind kind);
  void OnWake();
  // Requests, one after another; a create waits for its tail.
  void RunControls();
  void StartCreate(Control& control);
  absl::string_view Refusal(const etcdserverpb::WatchCreateRequest& request) const;
  void FinishCreate(const absl::StatusOr<journal::Tail>& tail);
  void OpenPorts(Watch& watch);
  void DoCancel(int64_t watch_id);
  void End(Watch& watch);
  void AskTail(uint64_t ticket);
  int64_t PickId();

  // What ports say.
  void OnMessage(PortEvents& message);
  void OnMessage(PortCompacted& message);
  void OnMessage(PortProgress& message);
  void OnMessage(TailConfirmed& message);
  void TakeFloors(const WatchMailbox::Floors& floors);
  void ReleaseMerged();
  void Emit(Watch& watch, mvcc::EventBatchPtr batch, Revision header_revision);

  // Progress (watch_stream_progress.cc).
  void StartRound(bool notify);
  void AskPorts(Round& round);
  void FinishRounds();
  void FinishRound(const Round& round);
  bool IsCovered(const Watch& watch, const Round& round) const;

  Revision KnownRevision() const;
  WatchPort& PortOf(PartitionId id);
  std::shared_ptr<WatchPort> MakePort(PartitionId id, std::shared_ptr<WatchBudget> budget,
                                      bool merging);

  const Parts& parts_;
  journal::Journal& journal_;
  Clock& clock_;
  MemoryBudget& memory_;
  WatchOutput& output_;
  MemoryCharge charge_;
  std::shared_ptr<WatchMailbox> mailbox_;
  std::shared_ptr<WatchBudget> budget_;
  absl::btree_map<PartitionId, std::shared_ptr<WatchPort>> ports_;

  absl::btree_map<int64_t, std::unique_ptr<Watch>> by_id_;
  absl::flat_hash_map<WatchKey, Watch*> by_key_;
  absl::btree_map<WatchKey, Watch*> merged_;
  WatchMailbox::Contents taken_;  // empty between wake-ups
  WatchKey next_key_ = 1;
  int64_t next_id_ = 0;
  uint64_t next_ticket_ = 1;

  std::deque<Control> controls_;
  uint64_t create_ticket_ = 0;  // of the create at the front that waits for its tail; 0: none
  // At most one of each kind; a request that finds one running is remembered once.
  std::unique_ptr<Round> rounds_[2];
  bool again_[2] = {false, false};
  Revision sent_{0};   // the newest revision of which events were sent
  Revision told_{0};   // of the last progress message for the stream
  int overtaken_ = 0;  // rounds in a row whose revision was behind sent_
};

}  // namespace tidemark::partition
