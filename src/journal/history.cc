#include "src/journal/history.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "src/base/check.h"
#include "src/base/failpoint.h"
#include "src/base/little_endian.h"

namespace tidemark::journal {

void History::Add(const Start& start) {
  CHECK(start.id != 0);
  while (!starts_.empty() && (starts_.back().begin.position > start.begin.position ||
                              starts_.back().term >= start.term)) {
    starts_.pop_back();
  }
  if (starts_.size() == kStartsMax) starts_.erase(starts_.begin());
  starts_.push_back(start);
}

absl::Status History::Check(uint64_t id, const Point& reached, const Point& tail) const {
  const auto start =
      std::find_if(starts_.begin(), starts_.end(), [id](const Start& s) { return s.id == id; });
  const bool is_known = start != starts_.end();
  if (!is_known && !PLANTED_BUG("start_believes_another_history")) {
    return absl::DataLossError("it is of another history of this journal, or too old to tell");
  }
  Point end = tail;
  if (is_known && std::next(start) != starts_.end()) {
    end.position = std::min(end.position, std::next(start)->begin.position);
    end.revision = std::min(end.revision, std::next(start)->begin.revision);
  }
  if (reached.revision > end.revision) {
    return absl::DataLossError(absl::StrCat(
        "it is ahead of the journal: ", reached.revision.value(), " > ", end.revision.value()));
  }
  if (reached.position > end.position && !PLANTED_BUG("start_believes_other_compactions")) {
    return absl::DataLossError(absl::StrCat("what compacted it is ahead of the journal: ",
                                            reached.position.value(), " > ", end.position.value()));
  }
  return absl::OkStatus();
}

std::string History::Encode() const {
  std::string out;
  AppendLittle(&out, static_cast<uint32_t>(starts_.size()));
  for (const Start& start : starts_) {
    AppendLittle(&out, start.id);
    AppendLittle(&out, start.term.value());
    AppendLittle(&out, start.begin.position.value());
    AppendLittle(&out, start.begin.revision.value());
  }
  return out;
}

absl::StatusOr<History> History::Decode(absl::string_view encoded) {
  ByteReader in(encoded);
  History history;
  const auto count = in.Read<uint32_t>();
  for (uint32_t i = 0; i < count && !in.failed(); ++i) {
    Start start;
    start.id = in.Read<uint64_t>();
    start.term = Term(in.Read<uint64_t>());
    start.begin.position = Position(in.Read<uint64_t>());
    start.begin.revision = Revision(in.Read<int64_t>());
    const bool follows =
        history.starts_.empty() || (history.starts_.back().term < start.term &&
                                    history.starts_.back().begin.position <= start.begin.position);
    if (start.id == 0 || !follows) return absl::DataLossError("starts that cannot be");
    history.starts_.push_back(start);
  }
  if (in.failed() || !in.rest().empty() || count > kStartsMax) {
    return absl::DataLossError("not a list of starts");
  }
  return history;
}

}  // namespace tidemark::journal
