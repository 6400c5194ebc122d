#include "bench/tidebench/revision_clock.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "bench/tidebench/op.h"

namespace tidemark::bench {
namespace {

std::string Describe(const Change& change) {
  return absl::StrCat("key ", change.index, change.is_delete ? " deleted after " : " by ",
                      change.writes, " writes");
}

}  // namespace

void RevisionClock::Written(int64_t revision, const Change& change, int64_t due_ns) {
  if (watchers_ == 0) return;
  const auto [at, is_new] = writes_.try_emplace(revision, Write{change, due_ns, watchers_});
  if (!is_new) {
    listener_->OnWrongEvent(WrongAnswer(absl::StrCat("two writes have revision ", revision)));
    return;
  }
  auto early = early_.extract(revision);
  if (early.empty()) return;
  for (const Arrival& arrival : early.mapped()) Deliver(revision, &at->second, arrival);
  if (at->second.untold_watchers <= 0) writes_.erase(at);
}

void RevisionClock::Arrived(int64_t revision, const Change& change, int64_t now_ns) {
  const auto at = writes_.find(revision);
  if (at == writes_.end()) {
    early_[revision].push_back({change, now_ns});
    return;
  }
  Deliver(revision, &at->second, {change, now_ns});
  if (at->second.untold_watchers == 0) writes_.erase(at);
}

void RevisionClock::Deliver(int64_t revision, Write* write, const Arrival& arrival) {
  --write->untold_watchers;
  if (arrival.change == write->change) {
    listener_->OnDelivered(write->due_ns, arrival.at_ns);
    return;
  }
  listener_->OnWrongEvent(
      WrongAnswer(absl::StrCat("the event of revision ", revision, " is ", Describe(arrival.change),
                               ", written was ", Describe(write->change))));
}

}  // namespace tidemark::bench
