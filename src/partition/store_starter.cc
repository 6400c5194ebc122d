#include "src/partition/store_starter.h"

#include <algorithm>
#include <string>
#include <utility>

#include "src/base/check.h"
#include "src/base/failpoint.h"
#include "src/base/log.h"

namespace tidemark::partition {
namespace {

constexpr absl::Duration kClaimAgainAfter = absl::Milliseconds(200);
// While nobody is served that may be told at once.
constexpr absl::Duration kClaimPatience = absl::Seconds(2);

// Of an append (journal.h): a full disk or mailbox, in which nothing was ordered.
bool PassesByItself(const absl::Status& status) {
  return absl::IsResourceExhausted(status) || absl::IsUnknown(status) ||
         absl::IsDeadlineExceeded(status);
}

}  // namespace

StoreStarter::StoreStarter(const LocalStoreOptions& options, const LocalStoreDoors& doors,
                           const Parts& parts)
    : options_(options),
      doors_(doors),
      parts_(parts),
      progress_(*doors.clock),
      map_entry_(options.map.CanonicalText()) {
  const size_t feeds = std::min(doors.executors.size(), parts.map().size());
  for (size_t i = 0; i < feeds; ++i) {
    feeds_.push_back(std::make_unique<Feed>(
        Feed::Wiring{*doors.executors[i], parts, *doors.journal, options.map.CanonicalText(),
                     [this](absl::Status status) { Fail(std::move(status)); }}));
  }
  for (PartitionId id : parts.map().ids()) {
    feeds_[id.value() % feeds]->AddPartition(id);
    starters_[id] = std::make_unique<ReplicaStarter>(
        ReplicaStarter::Doors{parts.replica(id), doors.checkpoints,
                              doors.workers != nullptr ? *doors.workers : alone_, *doors.clock,
                              progress_.Of(id)},
        std::string(parts.map().name(id)), options.map.CanonicalText());
    bytes_to_load_[id] = 0;
  }
}

void StoreStarter::Start(Observer observer) {
  home().Post([this, observer = std::move(observer)]() mutable {
    observer_ = std::move(observer);
    doors_.journal->ConfirmTail([this, alive = alive_](absl::StatusOr<journal::Tail> tail) {
      if (!*alive) return;
      home().Post([this, tail = std::move(tail)] { OnTail(tail); });
    });
  });
}

void StoreStarter::OnTail(absl::StatusOr<journal::Tail> tail) {
  if (!tail.ok()) return Fail(tail.status());
  tail_ = *tail;
  began_ = doors_.clock->Monotonic();
  for (auto& [id, bytes] : bytes_to_load_) {
    if (doors_.checkpoints == nullptr) break;
    const auto header = doors_.checkpoints->Newest(id);
    // Records become segments and an index.
    if (header.ok() && header->has_value()) {
      bytes = static_cast<int64_t>((*header)->record_bytes) * 3 / 2;
    }
  }
  for (const auto& [id, starter] : starters_) {
    absl::Status judged = starter->JudgeMemory(options_.history, tail_);
    if (!judged.ok()) return Fail(std::move(judged));
  }
  observer_.on_loading();
  progress_.Begin(tail_.position);
  LogProgress();
  for (const auto& feed : feeds_) {
    feed->executor().Post([this, feed = feed.get()] { LoadFeed(*feed); });
  }
}

void StoreStarter::LoadFeed(Feed& feed) {
  for (PartitionId id : feed.partitions()) {
    starters_.at(id)->Start({doors_.journal->KnownFirst(), tail_},
                            [this, &feed, id](absl::StatusOr<ReplicaStarter::Started> started) {
                              if (!started.ok()) return Fail(started.status());
                              OnLoaded(feed, id, *started);
                            });
  }
}

void StoreStarter::OnLoaded(Feed& feed, PartitionId id, const ReplicaStarter::Started& started) {
  const bool is_good = started.is_good || PLANTED_BUG("checkpoint_damaged_counts_as_good");
  home().Post([this, id, is_good, next = started.next] {
    if (is_good) good_checkpoints_.insert(id);
    progress_.LoadedOne();
    replay_from_ = std::min(replay_from_, next);
    if (++loaded_ == parts_.size()) progress_.BeginReplay(replay_from_);
  });
  if (PLANTED_BUG("start_serves_before_the_tail")) {
    parts_.hub(id).SetWhole();
    home().Post([this, id] { observer_.on_whole(id, Epoch(0)); });
  }
  feed.Take({id, started.next, started.has_image}, tail_.position, [this, id](bool map_seen) {
    home().Post([this, id, map_seen] { OnReplayed(id, map_seen); });
  });
}

void StoreStarter::OnReplayed(PartitionId id, bool map_seen) {
  if (ended()) return;
  if (map_seen) map_entry_.SetSeen();
  if (map_entry_.seen()) return Claim(id);
  waiting_for_map_.push_back(id);
  if (!std::exchange(writing_map_, true)) WriteMap();
}

void StoreStarter::WriteMap() {
  map_entry_.Write(*doors_.journal, home(), OriginId(doors_.random->Next()),
                   [this, alive = alive_](absl::Status status) {
                     if (!*alive || ended()) return;
                     if (!status.ok()) return Fail(std::move(status));
                     map_entry_.SetSeen();
                     for (PartitionId id : std::exchange(waiting_for_map_, {})) Claim(id);
                   });
}

void StoreStarter::Claim(PartitionId id) {
  kvstore::Replica& replica = parts_.replica(id);
  replica.executor().Post([this, id, &replica] {
    replica.BecomePrimary([this, id, &replica](absl::Status status) {
      if (!status.ok()) {
        return home().Post([this, id, status = std::move(status)] { OnClaimRefused(id, status); });
      }
      parts_.hub(id).SetWhole();
      home().Post([this, id, epoch = replica.epoch()] { OnClaimed(id, epoch); });
    });
  });
}

// The other partitions' clients write already, and nothing is trimmed before all are whole: what is
// a polite answer to them must not end the process. A claim that is made twice does no harm.
void StoreStarter::OnClaimRefused(PartitionId id, const absl::Status& status) {
  if (ended()) return;
  const absl::Duration now = doors_.clock->Monotonic();
  const auto [since, is_first] = refused_since_.emplace(id, now);
  const bool some_serve = bytes_to_load_.size() < parts_.size();
  const bool goes_on = some_serve || now < since->second + kClaimPatience;
  if (!goes_on || !PassesByItself(status) || PLANTED_BUG("start_ends_where_a_claim_waits")) {
    return Fail(status);
  }
  if (is_first) {
    TLOG(kWarn, "partition cannot be claimed yet",
         {{"partition", parts_.map().name(id)}, {"error", status.message()}});
  }
  home().PostAt(now + kClaimAgainAfter, [this, id, alive = alive_] {
    if (*alive && !ended()) Claim(id);
  });
}

void StoreStarter::OnClaimed(PartitionId id, Epoch epoch) {
  if (ended()) return;
  bytes_to_load_.erase(id);
  TLOG(kInfo, "partition serves",
       {{"partition", parts_.map().name(id)},
        {"position", tail_.position.value()},
        {"after", doors_.clock->Monotonic() - began_},
        {"partitions-left", bytes_to_load_.size()}});
  observer_.on_whole(id, epoch);
  if (bytes_to_load_.empty()) OnAllWhole();
}

void StoreStarter::OnAllWhole() {
  home().Cancel(progress_timer_);
  starters_.clear();  // with what they read of the checkpoints
  const journal::Tail watermark = parts_.system().watermark();
  TLOG(kInfo, "replayed journal",
       {{"position", watermark.position.value()}, {"revision", watermark.revision.value()}});
  for (const auto& feed : feeds_) {
    feed->executor().Post([feed = feed.get()] { feed->Merge(); });
  }
  std::exchange(observer_.on_end, nullptr)(absl::OkStatus());
}

void StoreStarter::Fail(absl::Status status) {
  if (!home().IsCurrent()) {
    return home().Post([this, status = std::move(status)] { Fail(status); });
  }
  if (observer_.on_end != nullptr) std::exchange(observer_.on_end, nullptr)(std::move(status));
}

void StoreStarter::Stop() {
  stopped_ = true;
  progress_.Cancel();
  home().Post([this] { home().Cancel(progress_timer_); });
  for (const auto& feed : feeds_) {
    feed->executor().Post([feed = feed.get()] { feed->Stop(); });
  }
}

int64_t StoreStarter::BytesToLoad() const {
  if (bytes_to_load_.empty()) return 0;
  // What the replay adds is not known before.
  int64_t sum = doors_.journal_bytes ? static_cast<int64_t>(doors_.journal_bytes()) : 0;
  for (const auto& [id, bytes] : bytes_to_load_) sum += bytes;
  return sum;
}

Position StoreStarter::SlowestApplied() const {
  int64_t slowest = INT64_MAX;
  for (PartitionId id : parts_.ids()) {
    slowest = std::min(slowest, parts_.replica(id).stats().applied_position.load());
  }
  return Position(static_cast<uint64_t>(slowest));
}

void StoreStarter::LogProgress() {
  const absl::Duration next = doors_.clock->Monotonic() + options_.progress_log_interval;
  progress_timer_ = home().PostAt(next, [this] {
    if (ended()) return;
    progress_.Log(SlowestApplied());
    LogProgress();
  });
}

}  // namespace tidemark::partition
