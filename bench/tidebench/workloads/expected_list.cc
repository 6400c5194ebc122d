#include "bench/tidebench/workloads/expected_list.h"

#include <algorithm>

#include "bench/tidebench/workloads/answers.h"

namespace tidemark::bench {

using Pending = Dataset::Pending;

void ExpectedList::Begin(const Dataset* dataset) {
  dataset_ = dataset;
  known_ = dataset->entries();
  revision_ = dataset->newest_revision();
  next_ = 0;
}

bool ExpectedList::MayBe(int64_t index, const mvccpb::KeyValue& kv) const {
  if (index >= static_cast<int64_t>(known_.size())) return false;
  const Dataset::Entry& known = known_[index];
  const int64_t writes = dataset_->WritesIn(index, kv.value());
  if (kv.mod_revision() == known.mod_revision) return writes == known.writes;
  return known.pending == Pending::kWrite && writes == known.writes + 1 &&
         kv.mod_revision() > known.mod_revision && kv.mod_revision() <= revision_;
}

absl::Status ExpectedList::Skip(int64_t end) {
  end = std::min(end, static_cast<int64_t>(known_.size()));
  for (; next_ < end; ++next_) {
    const Dataset::Entry& known = known_[next_];
    if (known.mod_revision > 0 && known.pending != Pending::kDelete) {
      return WrongAnswer(absl::StrCat("key ", next_, " of ", dataset_->prefix(),
                                      ", last changed in revision ", known.mod_revision,
                                      ", is missing at revision ", revision_));
    }
  }
  return absl::OkStatus();
}

absl::Status ExpectedList::Next(const mvccpb::KeyValue& kv) {
  const int64_t index = dataset_->IndexOf(kv.key());
  if (index < next_ || !MayBe(index, kv)) {
    return WrongAnswer(absl::StrCat("at revision ", revision_, ", where key ", next_,
                                    " or a later one is due: ", Brief(kv)));
  }
  absl::Status status = Skip(index);
  next_ = index + 1;
  return status;
}

absl::Status ExpectedList::End() { return Skip(INT64_MAX); }

}  // namespace tidemark::bench
