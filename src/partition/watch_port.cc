#include "src/partition/watch_port.h"

#include <algorithm>

#include "src/base/check.h"
#include "src/base/failpoint.h"

namespace tidemark::partition {
namespace {

// How soon a merging port looks again whether a watcher that replays history has caught up.
constexpr absl::Duration kCatchUpPoll = absl::Milliseconds(1);

}  // namespace

WatchBudget::WatchBudget(MemoryBudget& memory, int64_t limit_bytes)
    : memory_(memory),
      limit_bytes_(limit_bytes),
      window_bytes_(std::min(
          limit_bytes, std::clamp(memory.share_bytes(MemoryAccount::kWatches) / kStreamsToFillIt,
                                  kLeastBytes, kFirstWindowBytes))) {}

int64_t WatchBudget::PresentLimit() const {
  const int64_t free = memory_.free_bytes(MemoryAccount::kWatches) -
                       memory_.share_bytes(MemoryAccount::kWatches) / kPartForWatchers;
  return std::clamp<int64_t>(free / kPartForOne, 0, window_bytes_.load());
}

int64_t WatchBudget::RoomBytes() const {
  const int64_t used = used_bytes_.load();
  const int64_t room = PresentLimit() - used;
  return used == 0 ? std::max(room, kLeastBytes) : room;
}

bool WatchBudget::WorthResuming() const {
  const int64_t used = used_bytes_.load();
  return used == 0 || used <= PresentLimit() / 2;
}

void WatchBudget::Take(size_t bytes) {
  used_bytes_.fetch_add(static_cast<int64_t>(bytes));
  memory_.Charge(MemoryAccount::kWatches, static_cast<int64_t>(bytes));
}

void WatchBudget::GiveBack(size_t bytes) {
  const int64_t before = used_bytes_.fetch_sub(static_cast<int64_t>(bytes));
  CHECK_MSG(before >= static_cast<int64_t>(bytes), "more given back than was handed over");
  const int64_t window = window_bytes_.load();
  if (before >= window / 2 && before - static_cast<int64_t>(bytes) <= window / 2) {
    window_bytes_.store(std::min(limit_bytes_, 2 * window));
  }
  if (PLANTED_BUG("watch_budget_kept")) return;
  memory_.Release(MemoryAccount::kWatches, static_cast<int64_t>(bytes));
}

void WatchHub::Add(std::shared_ptr<WatchPort> port) {
  numbers_[port.get()] = next_;
  ports_.emplace(next_++, std::move(port));
}

void WatchHub::Remove(const WatchPort* port) {
  const auto found = numbers_.find(port);
  if (found == numbers_.end()) return;
  ports_.erase(found->second);
  numbers_.erase(found);
}

void WatchHub::OnApplied() {
  for (auto& [number, port] : ports_) port->ReportFloor();
}

void WatchHub::SetWhole() {
  whole_.store(true, std::memory_order_release);
  for (const auto& port : std::exchange(waiting_, {})) port->OnWhole();
}

void WatchPort::Add(WatchKey watch, mvcc::WatchSpec spec) {
  wiring_.replica.executor().Post(
      [self = shared_from_this(), watch, spec = std::move(spec)]() mutable {
        if (self->closed_) return;
        if (self->wiring_.hub.whole() || PLANTED_BUG("watch_port_does_not_wait")) {
          return self->AddHere(watch, std::move(spec));
        }
        if (self->pending_.empty()) self->wiring_.hub.AddWaiting(self);
        self->pending_.push_back({watch, std::move(spec)});
      });
}

void WatchPort::OnWhole() {
  for (Pending& pending : std::exchange(pending_, {})) {
    AddHere(pending.watch, std::move(pending.spec));
  }
}

void WatchPort::AddHere(WatchKey watch, mvcc::WatchSpec spec) {
  const Revision start = spec.start;
  spec.sink = this;
  const mvcc::WatcherId id = wiring_.replica.watches().Add(std::move(spec));
  watching_[id] = {watch, start, start.Previous()};
  ids_[watch] = id;
  if (wiring_.merging) {
    wiring_.hub.Add(shared_from_this());
    ReportFloor();
  }
  wiring_.replica.KickWatches();
}

void WatchPort::Remove(WatchKey watch) {
  wiring_.replica.executor().Post([self = shared_from_this(), watch] {
    const size_t erased =
        std::erase_if(self->pending_, [watch](const Pending& p) { return p.watch == watch; });
    if (erased > 0 && self->pending_.empty()) self->wiring_.hub.RemoveWaiting(self.get());
    const auto found = self->ids_.find(watch);
    if (found == self->ids_.end()) return;
    self->wiring_.replica.watches().Remove(found->second);
    self->watching_.erase(found->second);
    self->ids_.erase(found);
  });
}

void WatchPort::Close() {
  wiring_.replica.executor().Post([self = shared_from_this()] {
    self->closed_ = true;
    self->pending_.clear();
    self->wiring_.hub.RemoveWaiting(self.get());
    for (const auto& [id, watching] : self->watching_) self->wiring_.replica.watches().Remove(id);
    self->watching_.clear();
    self->ids_.clear();
    if (self->wiring_.merging) self->wiring_.hub.Remove(self.get());
  });
}

bool WatchPort::HasRoom() {
  if (wiring_.budget->HasRoom()) return true;
  const bool others_wait = starved_.exchange(true);
  FAIL_POINT("partition.watch_port_starves");
  // The stream may have given back in between, before it could see that we starve.
  if (!wiring_.budget->HasRoom()) return false;
  if (!others_wait || PLANTED_BUG("watch_port_forgets_who_waits")) starved_ = false;
  return true;
}

size_t WatchPort::RoomBytes() {
  return static_cast<size_t>(std::max<int64_t>(wiring_.budget->RoomBytes(), 1));
}

void WatchPort::GiveBack(size_t bytes) {
  wiring_.budget->GiveBack(bytes);
  ResumeIfStarved();
}

void WatchPort::ResumeIfStarved() {
  if (!wiring_.budget->WorthResuming() || !starved_.exchange(false)) return;
  wiring_.replica.executor().Post([self = shared_from_this()] {
    if (self->closed_) return;
    self->wiring_.replica.watches().Resume(self.get());
    self->wiring_.replica.KickWatches();
    if (self->wiring_.merging) self->ScheduleFloorCheck();
  });
}

void WatchPort::OnEvents(mvcc::WatcherId id, mvcc::EventBatchPtr batch, Revision header_revision) {
  const auto it = watching_.find(id);
  CHECK(it != watching_.end());
  CHECK(!batch->events().empty());
  Watching& watching = it->second;
  const Revision last = batch->events().back().revision.main;
  CHECK_MSG(batch->events().front().revision.main > watching.floor, "events behind a floor");
  watching.floor = std::max(watching.floor, last);
  wiring_.budget->Take(batch->encoded_size_bytes());
  wiring_.mailbox->Push(PortEvents{watching.watch, wiring_.replica.partition(), std::move(batch),
                                   header_revision, wiring_.merging});
  if (wiring_.merging) ScheduleFloorCheck();
}

void WatchPort::OnCompacted(mvcc::WatcherId id, Revision compact_revision) {
  const auto it = watching_.find(id);
  CHECK(it != watching_.end());
  wiring_.mailbox->Push(PortCompacted{it->second.watch, compact_revision});
  ids_.erase(it->second.watch);
  watching_.erase(it);
}

void WatchPort::AskProgress(uint64_t round, journal::Tail tail) {
  wiring_.replica.executor().Post([self = shared_from_this(), round, tail] {
    if (!self->wiring_.hub.whole()) {
      PortProgress answer{round, {}};
      for (const Pending& pending : self->pending_) answer.behind.push_back(pending.watch);
      return self->wiring_.mailbox->Push(std::move(answer));
    }
    self->wiring_.replica.WhenApplied(tail.position, [self, round](journal::Tail) {
      PortProgress answer{round, {}};
      for (const auto& [id, watching] : self->watching_) {
        if (!self->wiring_.replica.watches().IsSynced(id)) answer.behind.push_back(watching.watch);
      }
      if (self->wiring_.merging) self->ReportFloor();
      self->wiring_.mailbox->Push(std::move(answer));
    });
  });
}

void WatchPort::ReportFloor() {
  if (closed_) return;
  const Revision applied = wiring_.replica.watermark().revision;
  for (auto& [id, watching] : watching_) {
    // Nothing is wanted below the start, and nothing above `applied` is known.
    const bool idle = watching.start > applied;
    Revision floor = watching.floor;
    if (idle || wiring_.replica.watches().IsSynced(id) || PLANTED_BUG("merge_ignores_watermark")) {
      floor = std::max(floor, applied);
    } else if (!starved_) {
      ScheduleFloorCheck();
    }
    if (floor == watching.floor) continue;
    watching.floor = floor;
    wiring_.mailbox->SetFloor(watching.watch, wiring_.replica.partition(), floor);
  }
}

void WatchPort::ScheduleFloorCheck() {
  if (floor_check_scheduled_) return;
  floor_check_scheduled_ = true;
  const absl::Duration when = wiring_.clock.Monotonic() + kCatchUpPoll;
  wiring_.replica.executor().PostAt(when, [self = shared_from_this()] {
    self->floor_check_scheduled_ = false;
    self->ReportFloor();
  });
}

}  // namespace tidemark::partition
