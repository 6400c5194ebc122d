// How a stream learns that it may say "everything up to R was sent" (contract 3.5).

#include "src/base/check.h"
#include "src/base/failpoint.h"
#include "src/partition/watch_stream_impl.h"

namespace tidemark::partition {

void WatchStreamImpl::StartRound(bool notify) {
  std::unique_ptr<Round>& slot = rounds_[notify ? 1 : 0];
  if (slot != nullptr) {
    again_[notify ? 1 : 0] = true;
    return;
  }
  if (by_id_.empty()) return;
  slot = std::make_unique<Round>();
  slot->notify = notify;
  slot->ticket = next_ticket_++;
  slot->first_new = next_key_;
  if (notify) {
    // A watch that sent something since the last tick stays silent at this one.
    bool wanted = false;
    for (auto& [id, watch] : by_id_) {
      if (watch->sent_since_tick) slot->behind.insert(watch->key);
      wanted |= watch->progress_notify && !watch->sent_since_tick;
      watch->sent_since_tick = false;
    }
    if (!wanted) {
      slot = nullptr;
      return;
    }
  }
  AskTail(slot->ticket);
}

void WatchStreamImpl::AskPorts(Round& round) {
  // A bug with a history (etcd #15220): the notice is made from the tail alone and overtakes events
  // that partitions still have to hand over.
  if (PLANTED_BUG("partition_progress_ahead")) return;
  for (auto& [id, port] : ports_) {
    ++round.answers_missing;
    port->AskProgress(round.ticket, round.tail);
  }
  for (auto& [key, watch] : merged_) {
    for (auto& port : watch->merge_ports) {
      ++round.answers_missing;
      port->AskProgress(round.ticket, round.tail);
    }
  }
}

void WatchStreamImpl::OnMessage(PortProgress& message) {
  for (auto& round : rounds_) {
    if (round == nullptr || round->ticket != message.round) continue;
    CHECK(round->answers_missing > 0);
    --round->answers_missing;
    round->behind.insert(message.behind.begin(), message.behind.end());
  }
}

void WatchStreamImpl::FinishRounds() {
  for (int kind = 0; kind < 2; ++kind) {
    std::unique_ptr<Round>& slot = rounds_[kind];
    if (slot != nullptr) {
      if (!slot->has_tail || slot->answers_missing > 0) continue;
      const std::unique_ptr<Round> round = std::move(slot);
      FinishRound(*round);
    }
    if (std::exchange(again_[kind], false)) StartRound(kind == 1);
  }
}

bool WatchStreamImpl::IsCovered(const Watch& watch, const Round& round) const {
  if (PLANTED_BUG("partition_progress_ahead")) return true;
  // Never a revision before the one asked for (etcd #20221).
  if (round.tail.revision < watch.asked_start) return false;
  if (watch.key >= round.first_new || round.behind.contains(watch.key)) return false;
  return watch.merge == nullptr || watch.merge->released() >= round.tail.revision;
}

void WatchStreamImpl::FinishRound(const Round& round) {
  if (round.notify) {
    if (round.tail.revision < told_) return;  // they have heard of a later one meanwhile
    for (auto& [id, watch] : by_id_) {
      if (!watch->progress_notify || watch->sent_since_tick || !IsCovered(*watch, round)) continue;
      output_.OnProgress(id, round.tail.revision);
    }
    return;
  }
  if (by_id_.empty()) return;
  bool has_new = false;
  for (auto& [id, watch] : by_id_) {
    has_new |= watch->key >= round.first_new;
    if (watch->key < round.first_new && !IsCovered(*watch, round)) return;
  }
  // The message would speak for the new watches too: ask again with them.
  if (has_new && !PLANTED_BUG("partition_progress_ahead")) {
    again_[0] = true;
    return;
  }
  // While ports answered, newer events left: "everything up to" less than them would lead clients
  // to ask for them again.
  if (round.tail.revision < sent_ && !PLANTED_BUG("partition_progress_behind")) {
    again_[0] = ++overtaken_ <= kRoundsOvertakenMax;
    if (!again_[0]) overtaken_ = 0;
    return;
  }
  overtaken_ = 0;
  told_ = round.tail.revision;
  output_.OnProgress(-1, told_);
}

}  // namespace tidemark::partition
