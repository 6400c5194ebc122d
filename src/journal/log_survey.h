// Everything that a start reads of a journal's directory and judges, in the start's own order,
// without changing anything: term, state, every block. SingleVoterLog starts from it; `tidemark
// inspect` reports it.
//
// Used by one thread.
#pragma once

#include <functional>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "src/base/clock.h"
#include "src/base/file_system.h"
#include "src/journal/data_directory.h"
#include "src/journal/journal.h"
#include "src/journal/segment_walk.h"

namespace tidemark::journal {

// What was there, in order: at most one state (of trimmed entries), then every block. Blocks at or
// before the state's position are part of it. An error stops the survey.
struct LogVisitor {
  std::function<absl::Status(Position position, absl::string_view state)> state;
  BlockVisitor block;
  // The newest entry visited; empty where nobody reads entries.
  std::function<Tail()> tail;
};

struct LogSurvey {
  std::optional<Term> stored_term;
  History history;
  absl::Status history_damage;  // then it is empty, which costs a cold start and nothing else
  Position state_position;      // 0 without a state
  size_t state_bytes = 0;
  RecoveryOptions walk_options;
  SegmentWalk walk;
  Term newest_block_term;
};

// Fills `survey` as far as it comes; the error is what a start would answer.
absl::Status SurveyLog(FileSystem& file_system, const Clock& clock, DataDirectory& directory,
                       const LogVisitor& visitor, LogSurvey* survey);

}  // namespace tidemark::journal
