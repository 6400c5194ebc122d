#include "src/journal/sequencer_replay.h"

#include <utility>

#include "src/journal/entry_codec.h"

namespace tidemark::journal {

LogVisitor ReplayInto(Sequencer* sequencer, Sequencer::Limits limits,
                      std::function<absl::Status(const Entry&)> on_entry) {
  LogVisitor visitor;
  visitor.state = [=](Position position, absl::string_view state) {
    absl::StatusOr<Sequencer> loaded = Sequencer::Load(state, limits);
    if (!loaded.ok()) return loaded.status();
    if (loaded->tail().position != position) {
      return absl::DataLossError("sequencer state of another position");
    }
    *sequencer = *std::move(loaded);
    return absl::OkStatus();
  };
  visitor.block = [=, on_entry = std::move(on_entry)](const StoredBlock& block) {
    absl::StatusOr<EntryBlock> entries = DecodeEntries({block.first, block.entry_count, block.term},
                                                       block.body.view(), block.body.owner());
    if (!entries.ok()) return entries.status();
    for (const Entry& entry : entries->entries) {
      absl::Status status;
      // Others are part of the loaded state.
      if (entry.position > sequencer->tail().position) status = sequencer->Apply(entry);
      if (status.ok() && on_entry) status = on_entry(entry);
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  };
  visitor.tail = [sequencer] { return sequencer->tail(); };
  return visitor;
}

}  // namespace tidemark::journal
