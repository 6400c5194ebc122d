#include <algorithm>
#include <variant>

#include "src/base/check.h"
#include "src/base/failpoint.h"
#include "src/kvstore/etcd_errors.h"
#include "src/partition/watch_stream_impl.h"

namespace tidemark::partition {

using etcdserverpb::WatchCreateRequest;

namespace {

// On the heap, here, in ports and in partitions; a watch's keys are there several times.
constexpr int64_t kWatchBytes = 3 << 9;
constexpr int64_t kWatchKeyCopies = 4;
// A burst leaves no more room behind.
constexpr size_t kKeptMessages = 16;

constexpr absl::string_view kRangeEmpty = "mvcc: watcher range is empty";
constexpr absl::string_view kDuplicateId = "mvcc: duplicate watch ID provided on the WatchStream";
constexpr absl::string_view kStartCompacted =
    "etcdserver: mvcc: required revision has been compacted";

mvcc::KeyRange RangeOf(const WatchCreateRequest& request) {
  const absl::string_view key =
      request.key().empty() ? absl::string_view("\0", 1) : absl::string_view(request.key());
  return mvcc::KeyRange(mvcc::FromEtcd(key, request.range_end()));
}

mvcc::WatchSpec SpecOf(const WatchCreateRequest& request) {
  mvcc::WatchSpec spec;
  spec.range = RangeOf(request);
  spec.start = Revision(request.start_revision());
  spec.prev_kv = request.prev_kv();
  for (const int filter : request.filters()) {
    spec.no_put |= filter == WatchCreateRequest::NOPUT;
    spec.no_delete |= filter == WatchCreateRequest::NODELETE;
  }
  return spec;
}

// Of the watch that it becomes.
int64_t BytesOf(const WatchCreateRequest& request) {
  const size_t key_bytes = request.key().size() + request.range_end().size();
  return kWatchBytes + kWatchKeyCopies * static_cast<int64_t>(key_bytes);
}

}  // namespace

WatchStreamImpl::WatchStreamImpl(const Wiring& wiring, size_t credit_bytes, Executor& executor,
                                 WatchOutput& output)
    : parts_(wiring.parts),
      journal_(wiring.journal),
      clock_(wiring.clock),
      memory_(wiring.memory),
      output_(output),
      charge_(memory_, MemoryAccount::kWatches),
      mailbox_(std::make_shared<WatchMailbox>(executor, [this] { OnWake(); })),
      budget_(std::make_shared<WatchBudget>(memory_, static_cast<int64_t>(credit_bytes))) {
  charge_.Set(kStreamBytes);
}

WatchStreamImpl::~WatchStreamImpl() {
  mailbox_->Close();
  for (auto& [id, port] : ports_) port->Close();
  for (auto& [key, watch] : merged_) {
    for (auto& port : watch->merge_ports) port->Close();
  }
}

bool WatchStreamImpl::Create(const WatchCreateRequest& request) {
  Control control;
  control.charge = MemoryCharge(memory_, MemoryAccount::kWatches);
  // As long as it waits it is as large as its client made it.
  const bool fits =
      control.charge.TryRaise(BytesOf(request) + static_cast<int64_t>(request.SpaceUsedLong()));
  if (fits) {
    control.create = request;
  } else {
    memory_.CountRefusal(MemoryAccount::kWatches);
    control.watch_id = -1;  // the refusal keeps its place in the order, but not its range
  }
  return Enqueue(std::move(control));
}

bool WatchStreamImpl::Enqueue(Control control) {
  if (controls_.size() >= kMaxControls) return PLANTED_BUG("watch_requests_dropped");
  controls_.push_back(std::move(control));
  mailbox_->Wake();
  return true;
}

bool WatchStreamImpl::Cancel(int64_t watch_id) {
  Control control;
  control.kind = Control::Kind::kCancel;
  control.watch_id = watch_id;
  return Enqueue(std::move(control));
}

bool WatchStreamImpl::RequestProgress() { return EnqueueRound(Control::Kind::kProgress); }

// A tick that finds no place is made up for by the next.
void WatchStreamImpl::NotifyProgress() { EnqueueRound(Control::Kind::kNotify); }

bool WatchStreamImpl::EnqueueRound(Control::Kind kind) {
  Control control;
  control.kind = kind;
  return Enqueue(std::move(control));
}

void WatchStreamImpl::Consumed(size_t bytes) {
  budget_->GiveBack(bytes);
  for (auto& [id, port] : ports_) port->ResumeIfStarved();
  if (!merged_.empty() && budget_->WorthResuming()) mailbox_->Wake();
}

void WatchStreamImpl::OnWake() {
  mailbox_->Take(taken_);
  for (WatchMessage& message : taken_.messages) {
    std::visit([this](auto& m) { OnMessage(m); }, message);
  }
  TakeFloors(taken_.floors);
  taken_.floors.clear();
  taken_.messages.clear();
  if (taken_.messages.capacity() > kKeptMessages) taken_.messages = std::vector<WatchMessage>();
  ReleaseMerged();
  FinishRounds();
  RunControls();
}

void WatchStreamImpl::RunControls() {
  while (create_ticket_ == 0 && !controls_.empty()) {
    Control& front = controls_.front();
    switch (front.kind) {
      case Control::Kind::kCreate:
        StartCreate(front);
        if (create_ticket_ != 0) return;  // stays at the front until its tail is known
        break;
      case Control::Kind::kCancel:
        DoCancel(front.watch_id);
        break;
      case Control::Kind::kProgress:
        StartRound(false);
        break;
      case Control::Kind::kNotify:
        StartRound(true);
        break;
    }
    controls_.pop_front();
  }
}

absl::string_view WatchStreamImpl::Refusal(const WatchCreateRequest& request) const {
  if (request.start_revision() < 0) return kStartCompacted;
  if (RangeOf(request).view().Empty()) return kRangeEmpty;
  if (request.watch_id() != 0 && by_id_.contains(request.watch_id())) return kDuplicateId;
  return "";
}

void WatchStreamImpl::StartCreate(Control& control) {
  if (control.watch_id == -1) {
    static const std::string* const too_many =
        new std::string(kvstore::ErrTooManyRequests().message());
    return output_.OnCreateRefused(KnownRevision(), *too_many);
  }
  const absl::string_view refusal = Refusal(control.create);
  if (!refusal.empty()) return output_.OnCreateRefused(KnownRevision(), refusal);
  create_ticket_ = next_ticket_++;
  AskTail(create_ticket_);
}

void WatchStreamImpl::AskTail(uint64_t ticket) {
  if (!parts_.hub(kSystemPartition).whole()) {
    // It would answer only when it is.
    journal_.ConfirmTail([ticket, mailbox = mailbox_](absl::StatusOr<journal::Tail> tail) {
      if (!tail.ok()) tail = kvstore::ErrTimeout();
      mailbox->Push(TailConfirmed{ticket, std::move(tail)});
    });
    return;
  }
  kvstore::Replica& system = parts_.system();
  system.executor().Post([&system, ticket, mailbox = mailbox_] {
    system.Barrier([ticket, mailbox](absl::StatusOr<journal::Tail> tail) {
      mailbox->Push(TailConfirmed{ticket, std::move(tail)});
    });
  });
}

void WatchStreamImpl::FinishCreate(const absl::StatusOr<journal::Tail>& tail) {
  const WatchCreateRequest request = std::move(controls_.front().create);
  MemoryCharge charge = std::move(controls_.front().charge);
  controls_.pop_front();
  create_ticket_ = 0;
  if (!tail.ok()) return output_.OnCreateRefused(KnownRevision(), tail.status().message());

  auto watch = std::make_unique<Watch>();
  watch->charge = std::move(charge);
  watch->charge.Set(BytesOf(request));
  watch->key = next_key_++;
  watch->id = request.watch_id() != 0 ? request.watch_id() : PickId();
  watch->spec = SpecOf(request);
  watch->asked_start = watch->spec.start;
  if (watch->spec.start.value() == 0) watch->spec.start = tail->revision.Next();
  watch->progress_notify = request.progress_notify();
  watch->fragment = request.fragment();
  watch->owners = parts_.map().Owners(watch->spec.range.view());
  output_.OnCreated(watch->id, tail->revision);
  OpenPorts(*watch);
  by_key_[watch->key] = watch.get();
  by_id_[watch->id] = std::move(watch);
}

int64_t WatchStreamImpl::PickId() {
  while (by_id_.contains(next_id_)) ++next_id_;
  return next_id_++;
}

void WatchStreamImpl::OpenPorts(Watch& watch) {
  if (watch.owners.size() == 1) {
    PortOf(watch.owners.front()).Add(watch.key, watch.spec);
    return;
  }
  watch.merge =
      std::make_unique<WatchMerge>(watch.owners.size(), watch.spec.start, watch.spec.prev_kv);
  merged_[watch.key] = &watch;
  const size_t share = std::max(static_cast<size_t>(budget_->limit_bytes()) / watch.owners.size(),
                                kMinMergeCreditBytes);
  for (PartitionId id : watch.owners) {
    auto budget = std::make_shared<WatchBudget>(memory_, static_cast<int64_t>(share));
    watch.merge_ports.push_back(MakePort(id, std::move(budget), true));
    watch.merge_ports.back()->Add(watch.key, watch.spec);
  }
}

void WatchStreamImpl::DoCancel(int64_t watch_id) {
  const auto it = by_id_.find(watch_id);
  if (it == by_id_.end()) return;
  End(*it->second);
  output_.OnCanceled(watch_id, KnownRevision());
}

void WatchStreamImpl::End(Watch& watch) {
  if (watch.merge == nullptr) PortOf(watch.owners.front()).Remove(watch.key);
  for (auto& port : watch.merge_ports) port->Close();
  merged_.erase(watch.key);
  by_key_.erase(watch.key);
  by_id_.erase(watch.id);  // destroys the watch
}

void WatchStreamImpl::OnMessage(PortEvents& message) {
  const auto it = by_key_.find(message.watch);
  const size_t bytes = message.batch->encoded_size_bytes();
  if (it == by_key_.end()) {
    // Cancelled meanwhile. A merging port is closed and its budget gone with it; the other ports
    // share one, and any of them may wait for what this takes.
    if (PLANTED_BUG("watch_credit_of_the_cancelled_kept")) return budget_->GiveBack(bytes);
    if (!message.merging) Consumed(bytes);
    return;
  }
  Watch& watch = *it->second;
  if (watch.merge == nullptr) {
    return Emit(watch, std::move(message.batch), message.header_revision);
  }
  const auto owner = std::lower_bound(watch.owners.begin(), watch.owners.end(), message.partition);
  CHECK(owner != watch.owners.end() && *owner == message.partition);
  watch.merge->OnEvents(static_cast<size_t>(owner - watch.owners.begin()), std::move(message.batch),
                        message.header_revision);
}

void WatchStreamImpl::OnMessage(PortCompacted& message) {
  const auto it = by_key_.find(message.watch);
  if (it == by_key_.end()) return;
  const int64_t id = it->second->id;
  End(*it->second);
  output_.OnCompacted(id, message.compact_revision);
}

void WatchStreamImpl::OnMessage(TailConfirmed& message) {
  if (message.ticket == create_ticket_) return FinishCreate(message.tail);
  for (auto& round : rounds_) {
    if (round == nullptr || round->ticket != message.ticket) continue;
    if (!message.tail.ok()) {
      round = nullptr;
      return;
    }
    round->has_tail = true;
    round->tail = *message.tail;
    return AskPorts(*round);
  }
}

void WatchStreamImpl::TakeFloors(const WatchMailbox::Floors& floors) {
  for (const auto& [from, floor] : floors) {
    const auto it = merged_.find(from.first);
    if (it == merged_.end()) continue;
    Watch& watch = *it->second;
    const auto owner = std::lower_bound(watch.owners.begin(), watch.owners.end(), from.second);
    watch.merge->OnFloor(static_cast<size_t>(owner - watch.owners.begin()), floor);
  }
}

void WatchStreamImpl::ReleaseMerged() {
  for (auto& [key, watch] : merged_) {
    while (budget_->HasRoom()) {
      std::optional<WatchMerge::Group> group = watch->merge->Next();
      if (!group.has_value()) break;
      for (const auto& [part, bytes] : group->used) watch->merge_ports[part]->GiveBack(bytes);
      budget_->Take(group->batch->encoded_size_bytes());
      Emit(*watch, std::move(group->batch), group->header_revision);
    }
  }
}

void WatchStreamImpl::Emit(Watch& watch, mvcc::EventBatchPtr batch, Revision header_revision) {
  watch.sent_since_tick = true;
  sent_ = std::max(sent_, batch->events().back().revision.main);
  output_.OnEvents(watch.id, std::move(batch), header_revision, watch.fragment);
}

Revision WatchStreamImpl::KnownRevision() const { return journal_.KnownTail().revision; }

WatchPort& WatchStreamImpl::PortOf(PartitionId id) {
  std::shared_ptr<WatchPort>& port = ports_[id];
  if (port == nullptr) port = MakePort(id, budget_, false);
  return *port;
}

std::shared_ptr<WatchPort> WatchStreamImpl::MakePort(PartitionId id,
                                                     std::shared_ptr<WatchBudget> budget,
                                                     bool merging) {
  return std::make_shared<WatchPort>(WatchPort::Wiring{parts_.replica(id), parts_.hub(id), clock_,
                                                       mailbox_, std::move(budget), merging});
}

}  // namespace tidemark::partition
