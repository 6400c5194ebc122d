// A saved sequencer: what loads keeps its invariants, saves to the same bytes, and can go on.
#include "src/journal/sequencer.h"
#include "tests/fuzz/fuzz_target.h"

namespace tidemark::journal {
namespace {

void GoOn(Sequencer sequencer, fuzz::Input in) {
  sequencer.OpenBlock(sequencer.tail().term);
  for (int i = 0; i < 4; ++i) {
    Record record;
    record.changes_keys = in.Bool();
    record.origin = OriginId(in.Byte());
    record.origin_number = in.Byte();
    const PartitionId partition(in.Byte());
    const EntryKind kind = in.Bool() ? EntryKind::kClaim : EntryKind::kData;
    record.partitions = {{partition, sequencer.EpochOf(partition)}};
    if (kind == EntryKind::kClaim) {  // as JournalNode's callers do
      record.changes_keys = false;
      record.origin_number = 0;
    }
    Entry entry;
    const Tail before = sequencer.tail();
    absl::StatusOr<Sequencer::Numbered> numbered = sequencer.Add(kind, record, &entry);
    if (!numbered.ok() || numbered->is_repeat) continue;
    CHECK(numbered->placed.position > before.position);
    CHECK(numbered->placed.revision >= before.revision);
  }
  sequencer.CommitBlock();
  sequencer.CheckInvariants();
}

}  // namespace

FUZZ_TARGET(sequencer_state) {
  fuzz::Input in(input);
  const absl::string_view steps = in.Bytes(24);
  absl::StatusOr<Sequencer> loaded = Sequencer::Load(in.rest(), Sequencer::Limits());
  if (!loaded.ok()) return;
  loaded->CheckInvariants();
  CHECK(loaded->Save() == in.rest());
  // Smaller limits than it was saved under: the oldest go, the rest still holds.
  absl::StatusOr<Sequencer> smaller =
      Sequencer::Load(in.rest(), {.origins_max = 2, .answers_max = 3, .partitions_max = 1 << 16});
  CHECK(smaller.ok());
  smaller->CheckInvariants();
  GoOn(*std::move(loaded), fuzz::Input(steps));
  GoOn(*std::move(smaller), fuzz::Input(steps));
}

}  // namespace tidemark::journal
