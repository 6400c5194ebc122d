// Sequencer::Save and Load: the state that stands for trimmed entries.
// Layout: docs/journal-format.md, "snapshot".
#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "src/base/failpoint.h"
#include "src/base/little_endian.h"
#include "src/journal/sequencer.h"

namespace tidemark::journal {
namespace {

constexpr uint32_t kSavedVersion = 1;
// Far beyond what a journal can reach; arithmetic on what was loaded cannot overflow.
constexpr uint64_t kNumberMax = uint64_t{1} << 62;

absl::Status Damaged(absl::string_view what) {
  return absl::DataLossError(absl::StrCat("sequencer state: ", what));
}

}  // namespace

std::string Sequencer::Save() const {
  std::string out;
  AppendLittle(&out, kSavedVersion);
  AppendLittle(&out, tail_.position.value());
  AppendLittle(&out, tail_.revision.value());
  AppendLittle(&out, tail_.term.value());
  AppendLittle(&out, static_cast<uint32_t>(epochs_.size()));
  for (const auto& [partition, epoch] : epochs_) {
    AppendLittle(&out, partition.value());
    AppendLittle(&out, epoch.value());
  }
  std::vector<OriginId> ids;
  for (const auto& [id, origin] : origins_) ids.push_back(id);
  std::sort(ids.begin(), ids.end());
  AppendLittle(&out, static_cast<uint32_t>(ids.size()));
  for (OriginId id : ids) {
    const Origin& origin = origins_.at(id);
    AppendLittle(&out, id.value());
    AppendLittle(&out, origin.last_number);
    AppendLittle(&out, origin.last_position.value());
    AppendLittle(&out, static_cast<uint32_t>(origin.answers.size()));
    for (const Placed& placed : origin.answers) {
      AppendLittle(&out, placed.position.value());
      AppendLittle(&out, placed.revision.value());
    }
  }
  return out;
}

absl::StatusOr<Sequencer::Origin> Sequencer::LoadOrigin(const Tail& tail, ByteReader* in) {
  Origin origin;
  origin.last_number = in->Read<uint64_t>();
  origin.last_position = Position(in->Read<uint64_t>());
  uint32_t answer_count = in->Read<uint32_t>();
  if (answer_count > origin.last_number || origin.last_position > tail.position) {
    return Damaged("origin");
  }
  for (uint32_t i = 0; i < answer_count && !in->failed(); ++i) {
    Placed answer;
    answer.position = Position(in->Read<uint64_t>());
    answer.revision = Revision(in->Read<int64_t>());
    if (answer.revision < kEmptyStoreRevision || answer.revision > tail.revision) {
      return Damaged("an answer's revision");
    }
    if (!origin.answers.empty() && (answer.position <= origin.answers.back().position ||
                                    answer.revision < origin.answers.back().revision)) {
      return Damaged("order of answers");
    }
    origin.answers.push_back(answer);
  }
  if (!origin.answers.empty() && origin.answers.back().position != origin.last_position) {
    return Damaged("answers do not end with the newest");
  }
  return origin;
}

// Accepts only what Save writes: ids ascending, answers in the order of their places.
absl::StatusOr<Sequencer> Sequencer::Load(absl::string_view saved, Limits limits) {
  ByteReader in(saved);
  Sequencer sequencer(limits);
  if (in.Read<uint32_t>() != kSavedVersion) return Damaged("unknown version");
  Tail& tail = sequencer.tail_;
  tail.position = Position(in.Read<uint64_t>());
  tail.revision = Revision(in.Read<int64_t>());
  tail.term = Term(in.Read<uint64_t>());
  if (tail.position.value() > kNumberMax || tail.revision < kEmptyStoreRevision ||
      tail.revision > Revision(kNumberMax)) {
    return Damaged("tail");
  }
  uint32_t epoch_count = in.Read<uint32_t>();
  for (uint32_t i = 0; i < epoch_count && !in.failed(); ++i) {
    PartitionId partition(in.Read<uint32_t>());
    Epoch epoch(in.Read<uint64_t>());
    if (epoch.value() == 0 || epoch.value() > tail.position.value()) return Damaged("epoch");
    if (!sequencer.epochs_.empty() && partition <= sequencer.epochs_.rbegin()->first) {
      return Damaged("order of partitions");
    }
    sequencer.epochs_.emplace_hint(sequencer.epochs_.end(), partition, epoch);
  }
  // An answer's place in the common order is its position.
  std::vector<std::pair<Position, OriginId>> order;
  OriginId previous;
  uint32_t origin_count = in.Read<uint32_t>();
  for (uint32_t i = 0; i < origin_count && !in.failed(); ++i) {
    OriginId id(in.Read<uint64_t>());
    if (i > 0 && id <= previous && !PLANTED_BUG("journal_state_order_unchecked")) {
      return Damaged("order of origins");
    }
    previous = id;
    absl::StatusOr<Origin> origin = LoadOrigin(tail, &in);
    if (!origin.ok()) return origin.status();
    for (const Placed& answer : origin->answers) order.emplace_back(answer.position, id);
    sequencer.origins_.emplace(id, *std::move(origin));
  }
  if (in.failed() || !in.rest().empty()) return Damaged("length");
  std::sort(order.begin(), order.end());
  for (size_t i = 1; i < order.size(); ++i) {
    if (order[i].first == order[i - 1].first) return Damaged("two answers at one position");
  }
  for (const auto& [position, id] : order) sequencer.answer_order_.push_back(id);
  // Limits may have become smaller since it was saved.
  while (sequencer.answer_order_.size() > limits.answers_max) sequencer.ForgetOldestAnswer();
  while (sequencer.origins_.size() > limits.origins_max) sequencer.ForgetOldestOrigin();
  if (sequencer.epochs_.size() > limits.partitions_max) return Damaged("too many partitions");
  return sequencer;
}

}  // namespace tidemark::journal
