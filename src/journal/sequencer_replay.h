// Rebuilds a sequencer from what a log holds; on the way every entry is decoded and judged.
#pragma once

#include <functional>

#include "src/journal/journal.h"
#include "src/journal/log_survey.h"
#include "src/journal/sequencer.h"

namespace tidemark::journal {

// `sequencer` outlives the visitor. `on_entry` may be empty; it sees every entry that is in a
// block, those at or before the state's position too, and may refuse.
LogVisitor ReplayInto(Sequencer* sequencer, Sequencer::Limits limits,
                      std::function<absl::Status(const Entry&)> on_entry = nullptr);

}  // namespace tidemark::journal
