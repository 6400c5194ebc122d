#include "src/journal/log_survey.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "src/journal/damage.h"

namespace tidemark::journal {
namespace {

absl::Status ReadSmallFiles(DataDirectory& directory, const LogVisitor& visitor,
                            LogSurvey* survey) {
  absl::StatusOr<std::optional<Term>> term = directory.LoadTerm();
  if (!term.ok()) return term.status();
  survey->stored_term = *term;
  absl::StatusOr<History> history = directory.LoadHistory();
  if (absl::IsFailedPrecondition(history.status())) return history.status();  // a newer version's
  survey->history_damage = history.status();
  if (history.ok()) survey->history = *std::move(history);
  absl::StatusOr<std::optional<DataDirectory::Snapshot>> snapshot = directory.LoadSnapshot();
  if (!snapshot.ok()) return snapshot.status();
  if (!snapshot->has_value()) return absl::OkStatus();
  survey->state_position = (*snapshot)->position;
  survey->state_bytes = (*snapshot)->state.size();
  return visitor.state((*snapshot)->position, (*snapshot)->state);
}

}  // namespace

absl::Status SurveyLog(FileSystem& file_system, const Clock& clock, DataDirectory& directory,
                       const LogVisitor& visitor, LogSurvey* survey) {
  absl::Status read = ReadSmallFiles(directory, visitor, survey);
  if (!read.ok()) return read;
  survey->walk_options = {&file_system, &clock, directory.path(), directory.store(),
                          survey->state_position};
  // The first segment is made before the first term is stored.
  survey->walk_options.may_be_fresh =
      !survey->stored_term.has_value() && survey->state_position == Position(0);
  absl::StatusOr<SegmentWalk> walk =
      WalkSegments(survey->walk_options, [&](const StoredBlock& block) {
        if (block.term < survey->newest_block_term) return absl::DataLossError("terms go back");
        survey->newest_block_term = block.term;
        return visitor.block(block);
      });
  if (!walk.ok()) return walk.status();
  survey->walk = *std::move(walk);
  if (survey->walk.damage.has_value()) return survey->walk.damage->status;
  const Term stored = survey->stored_term.value_or(Term(0));
  if (stored >= survey->newest_block_term) return absl::OkStatus();
  return FileDamage(
      absl::StrCat(directory.path(), "/term"),
      absl::StrCat("says ", stored.value(), ", but entries have term ",
                   survey->newest_block_term.value(), ": the file was lost or replaced"));
}

}  // namespace tidemark::journal
