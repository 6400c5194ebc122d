// Sequencer::Save and Load: the state that stands for trimmed entries.
// Layout: docs/journal-format.md, "snapshot".
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "src/journal/little_endian.h"
#include "src/journal/sequencer.h"

namespace tidemark::journal {
namespace {

constexpr uint32_t kSavedVersion = 1;

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

absl::StatusOr<Sequencer> Sequencer::Load(absl::string_view saved, Limits limits) {
  ByteReader in(saved);
  Sequencer sequencer(limits);
  if (in.Read<uint32_t>() != kSavedVersion) return Damaged("unknown version");
  sequencer.tail_.position = Position(in.Read<uint64_t>());
  sequencer.tail_.revision = Revision(in.Read<int64_t>());
  sequencer.tail_.term = Term(in.Read<uint64_t>());
  Position tail = sequencer.tail_.position;
  uint32_t epoch_count = in.Read<uint32_t>();
  for (uint32_t i = 0; i < epoch_count && !in.failed(); ++i) {
    PartitionId partition(in.Read<uint32_t>());
    Epoch epoch(in.Read<uint64_t>());
    if (epoch.value() == 0 || epoch.value() > tail.value()) return Damaged("epoch");
    sequencer.epochs_[partition] = epoch;
  }
  // An answer's place in the common order is its position.
  std::vector<std::pair<Position, OriginId>> order;
  uint32_t origin_count = in.Read<uint32_t>();
  for (uint32_t i = 0; i < origin_count && !in.failed(); ++i) {
    OriginId id(in.Read<uint64_t>());
    Origin& origin = sequencer.origins_[id];
    origin.last_number = in.Read<uint64_t>();
    origin.last_position = Position(in.Read<uint64_t>());
    uint32_t answer_count = in.Read<uint32_t>();
    if (answer_count > origin.last_number || origin.last_position > tail) return Damaged("origin");
    for (uint32_t j = 0; j < answer_count && !in.failed(); ++j) {
      Position position(in.Read<uint64_t>());
      Revision revision(in.Read<int64_t>());
      if (position > origin.last_position) return Damaged("answer");
      origin.answers.push_back({position, revision});
      order.emplace_back(position, id);
    }
    if (!origin.answers.empty() && origin.answers.back().position != origin.last_position) {
      return Damaged("answers do not end with the newest");
    }
  }
  if (in.failed() || !in.rest().empty()) return Damaged("length");
  std::sort(order.begin(), order.end());
  for (const auto& [position, id] : order) sequencer.answer_order_.push_back(id);
  // Limits may have become smaller since it was saved.
  while (sequencer.answer_order_.size() > limits.answers_max) sequencer.ForgetOldestAnswer();
  while (sequencer.origins_.size() > limits.origins_max) sequencer.ForgetOldestOrigin();
  if (sequencer.epochs_.size() > limits.partitions_max) return Damaged("too many partitions");
  return sequencer;
}

}  // namespace tidemark::journal
