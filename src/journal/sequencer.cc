#include "src/journal/sequencer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "src/base/check.h"
#include "src/base/failpoint.h"
#include "src/journal/entry_codec.h"

namespace tidemark::journal {

Epoch Sequencer::EpochOf(PartitionId partition) const {
  auto found = epochs_.find(partition);
  return found == epochs_.end() ? Epoch(0) : found->second;
}

void Sequencer::OpenBlock(Term term) {
  CHECK(!is_open_);
  CHECK(term >= tail_.term);
  is_open_ = true;
  open_.tail = tail_;
  open_.tail.term = term;
  CHECK(open_.staged.empty() && open_.last_numbers.empty() && open_.claims.empty());
}

absl::StatusOr<Sequencer::Numbered> Sequencer::Add(EntryKind kind, const Record& record,
                                                   Entry* entry) {
  CHECK(is_open_);
  if (record.partitions.size() > kPartitionsPerEntryMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("record names ", record.partitions.size(), " partitions"));
  }
  Placed placed;
  placed.position = open_.tail.position.Next();
  placed.revision = record.changes_keys ? open_.tail.revision.Next() : open_.tail.revision;
  Staged staged{kind, PartitionId(0), record.origin, record.origin_number, placed};
  if (kind == EntryKind::kClaim) {
    CHECK(record.partitions.size() == 1);
    CHECK(!record.changes_keys && record.origin_number == 0);
    staged.claimed = record.partitions[0].partition;
    if (!epochs_.contains(staged.claimed) &&
        epochs_.size() + open_.claims.size() >= limits_.partitions_max) {
      return absl::InvalidArgumentError("too many partitions");
    }
    open_.claims[staged.claimed] = Epoch(placed.position.value());
  } else {
    absl::StatusOr<Numbered> judged = NumberData(record);
    if (!judged.ok() || judged->is_repeat) return judged;
    open_.last_numbers[record.origin] = record.origin_number;
  }
  open_.tail.position = placed.position;
  open_.tail.revision = placed.revision;
  open_.staged.push_back(staged);

  entry->position = placed.position;
  entry->term = open_.tail.term;
  entry->revision = placed.revision;
  entry->kind = kind;
  entry->changes_keys = record.changes_keys;
  entry->partitions = record.partitions;
  if (kind == EntryKind::kClaim) entry->partitions[0].epoch = Epoch(placed.position.value());
  entry->origin = record.origin;
  entry->origin_number = record.origin_number;
  return Numbered{placed, false};
}

// Judges only: the caller stages. A repeat is answered even when its epoch was fenced meanwhile:
// the question is whether it happened, and it did.
absl::StatusOr<Sequencer::Numbered> Sequencer::NumberData(const Record& record) {
  if (record.origin_number == 0) {
    return absl::InvalidArgumentError("numbers of an origin start at 1");
  }
  uint64_t last = LastNumber(record.origin);
  if (record.origin_number <= last) return FindRepeat(record);
  absl::Status epochs = CheckEpochs(record);
  if (!epochs.ok()) return epochs;
  if (record.origin_number != last + 1) {
    return absl::AbortedError(absl::StrCat("hole in the numbers of origin ", record.origin.value(),
                                           ": ", record.origin_number, " after ", last));
  }
  return Numbered{};
}

absl::Status Sequencer::CheckEpochs(const Record& record) const {
  if (PLANTED_BUG("journal_skip_epoch_check")) return absl::OkStatus();
  for (const PartitionEpoch& named : record.partitions) {
    auto claimed = open_.claims.find(named.partition);
    Epoch current = claimed == open_.claims.end() ? EpochOf(named.partition) : claimed->second;
    if (named.epoch != current || current == Epoch(0)) {
      return absl::FailedPreconditionError(absl::StrCat("epoch ", named.epoch.value(),
                                                        " of partition ", named.partition.value(),
                                                        " is not current (", current.value(), ")"));
    }
  }
  return absl::OkStatus();
}

uint64_t Sequencer::LastNumber(OriginId origin) const {
  auto staged = open_.last_numbers.find(origin);
  if (staged != open_.last_numbers.end()) return staged->second;
  auto known = origins_.find(origin);
  return known == origins_.end() ? 0 : known->second.last_number;
}

absl::StatusOr<Sequencer::Numbered> Sequencer::FindRepeat(const Record& record) const {
  for (const Staged& staged : open_.staged) {
    if (staged.origin == record.origin && staged.origin_number == record.origin_number) {
      return Numbered{staged.placed, true};
    }
  }
  auto known = origins_.find(record.origin);
  if (known != origins_.end()) {
    const Origin& origin = known->second;
    // answers.back() belongs to last_number.
    uint64_t age = origin.last_number - record.origin_number;
    if (record.origin_number <= origin.last_number && age < origin.answers.size()) {
      return Numbered{origin.answers[origin.answers.size() - 1 - age], true};
    }
  }
  return absl::AbortedError(absl::StrCat("append ", record.origin_number, " of origin ",
                                         record.origin.value(),
                                         " was ordered too long ago to remember where"));
}

void Sequencer::CommitBlock() {
  CHECK(is_open_);
  for (const Staged& staged : open_.staged) ApplyStaged(staged);
  if (!open_.staged.empty()) tail_ = open_.tail;
  AbandonBlock();
}

void Sequencer::AbandonBlock() {
  CHECK(is_open_);
  is_open_ = false;
  open_.staged.clear();
  open_.last_numbers.clear();
  open_.claims.clear();
}

absl::Status Sequencer::Apply(const Entry& entry) {
  CHECK(!is_open_);
  Revision revision = entry.changes_keys ? tail_.revision.Next() : tail_.revision;
  if (entry.position != tail_.position.Next() || entry.revision != revision ||
      entry.term < tail_.term) {
    return absl::DataLossError(absl::StrCat(
        "entry ", entry.position.value(), " (revision ", entry.revision.value(), ", term ",
        entry.term.value(), ") does not follow entry ", tail_.position.value(), " (revision ",
        tail_.revision.value(), ", term ", tail_.term.value(), ")"));
  }
  Staged staged{entry.kind,
                PartitionId(0),
                entry.origin,
                entry.origin_number,
                {entry.position, entry.revision}};
  if (entry.kind == EntryKind::kClaim) {
    if (entry.partitions.size() != 1) {
      return absl::DataLossError(
          absl::StrCat("claim at ", entry.position.value(), " does not name one partition"));
    }
    staged.claimed = entry.partitions[0].partition;
  } else if (entry.origin_number <= LastNumber(entry.origin)) {
    return absl::DataLossError(absl::StrCat("entry ", entry.position.value(), " repeats number ",
                                            entry.origin_number, " of origin ",
                                            entry.origin.value()));
  }
  ApplyStaged(staged);
  tail_ = {entry.position, entry.revision, entry.term};
  return absl::OkStatus();
}

void Sequencer::ApplyStaged(const Staged& staged) {
  switch (staged.kind) {
    case EntryKind::kClaim:
      epochs_[staged.claimed] = Epoch(staged.placed.position.value());
      return;
    case EntryKind::kData:
      RememberAnswer(staged);
      return;
  }
}

void Sequencer::RememberAnswer(const Staged& staged) {
  auto [found, is_new] = origins_.try_emplace(staged.origin);
  Origin& origin = found->second;
  CHECK(is_new || staged.origin_number > origin.last_number);
  origin.last_number = staged.origin_number;
  origin.last_position = staged.placed.position;
  origin.answers.push_back(staged.placed);
  answer_order_.push_back(staged.origin);
  if (answer_order_.size() > limits_.answers_max) ForgetOldestAnswer();
  if (is_new && origins_.size() > limits_.origins_max) ForgetOldestOrigin();
}

void Sequencer::ForgetOldestAnswer() {
  auto oldest = origins_.find(answer_order_.front());
  CHECK(oldest != origins_.end() && !oldest->second.answers.empty());
  answer_order_.pop_front();
  oldest->second.answers.pop_front();
}

void Sequencer::ForgetOldestOrigin() {
  auto oldest = origins_.begin();
  for (auto it = origins_.begin(); it != origins_.end(); ++it) {
    if (it->second.last_position < oldest->second.last_position) oldest = it;
  }
  OriginId forgotten = oldest->first;
  origins_.erase(oldest);
  std::erase(answer_order_, forgotten);
}

std::vector<Sequencer::OriginSummary> Sequencer::Origins() const {
  std::vector<OriginSummary> summaries;
  for (const auto& [id, origin] : origins_) {
    summaries.push_back({id, origin.last_number, origin.last_position});
  }
  std::sort(summaries.begin(), summaries.end(),
            [](const OriginSummary& a, const OriginSummary& b) { return a.id < b.id; });
  return summaries;
}

void Sequencer::CheckInvariants() const {
  CHECK(origins_.size() <= limits_.origins_max);
  CHECK(answer_order_.size() <= limits_.answers_max);
  CHECK(epochs_.size() <= limits_.partitions_max);
  size_t answers_count = 0;
  for (const auto& [id, origin] : origins_) {
    answers_count += origin.answers.size();
    CHECK(origin.answers.size() <= origin.last_number);
    CHECK(origin.last_position <= tail_.position);
    CHECK(origin.answers.empty() || origin.answers.back().position == origin.last_position);
  }
  CHECK(answers_count == answer_order_.size());
  for (const auto& [partition, epoch] : epochs_) {
    CHECK(epoch.value() > 0 && epoch.value() <= tail_.position.value());
  }
}

}  // namespace tidemark::journal
