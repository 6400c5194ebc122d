#include <google/protobuf/util/message_differencer.h>

#include "absl/strings/str_cat.h"
#include "tests/sim/history_check.h"

namespace tidemark::sim {
namespace {

class WatchChecker {
 public:
  WatchChecker(const WatchHistory& watch, const Truth& truth)
      : watch_(watch), model_(truth.model()), truth_(truth) {}

  std::vector<std::string> Run() {
    if (watch_.created_revision < 0) {
      if (!watch_.items.empty()) Problem("output before the created message");
      return std::move(problems_);
    }
    next_ = watch_.request.start_revision() > 0 ? watch_.request.start_revision()
                                                : watch_.created_revision + 1;
    for (const WatchHistory::Item& item : watch_.items) {
      if (ended_) Problem("output after the end");
      if (item.compact_revision > 0) {
        CheckCompacted(item);
      } else if (item.progress) {
        CheckProgress(item);
      } else {
        CheckEvents(item);
      }
      if (!problems_.empty()) break;
    }
    return std::move(problems_);
  }

 private:
  void Problem(const std::string& what) {
    problems_.push_back(
        absl::StrCat("watch {", watch_.request.ShortDebugString(), "} next ", next_, ": ", what));
  }

  bool Wanted(const ModelChange& change) const {
    if (!InRange(change.key, watch_.request.key(), watch_.request.range_end())) return false;
    for (int filter : watch_.request.filters()) {
      if (filter == etcdserverpb::WatchCreateRequest::NOPUT && !change.is_delete) return false;
      if (filter == etcdserverpb::WatchCreateRequest::NODELETE && change.is_delete) return false;
    }
    return true;
  }

  // Moves next_ up to `revision` (excluded); false if wanted events lie on the way.
  bool SkipTo(int64_t revision) {
    for (; next_ < revision && next_ <= model_.revision(); ++next_) {
      if (next_ < 2) continue;
      for (const ModelChange& change : model_.ChangesAt(next_)) {
        if (Wanted(change)) return false;
      }
    }
    next_ = std::max(next_, revision);
    return true;
  }

  void CheckProgress(const WatchHistory::Item& item) {
    if (item.revision < watch_.request.start_revision()) {
      Problem(absl::StrCat("progress ", item.revision, " below the start (W10)"));
    }
    // Who resumes from it would get again what it has.
    if (item.revision + 1 < next_) {
      Problem(absl::StrCat("progress ", item.revision, " behind what was sent before"));
    }
    // W12: everything up to the revision came before.
    if (!SkipTo(item.revision + 1)) {
      Problem(absl::StrCat("progress ", item.revision, " overtook the events of ", next_));
    }
  }

  void CheckEvents(const WatchHistory::Item& item) {
    if (item.events.empty()) Problem("an event message without events");
    size_t at = 0;
    while (at < item.events.size() && problems_.empty()) {
      const int64_t revision = item.events[at].kv().mod_revision();
      if (revision < next_) {
        Problem(absl::StrCat("event of ", revision, " repeated or before the start"));
        return;
      }
      if (revision > model_.revision()) {
        Problem(absl::StrCat("event of ", revision, " that never was"));
        return;
      }
      if (!SkipTo(revision)) {
        Problem(absl::StrCat("events of ", next_, " are missing before ", revision));
        return;
      }
      for (const ModelChange& change : model_.ChangesAt(revision)) {
        if (!Wanted(change)) continue;
        if (at == item.events.size()) {
          Problem(absl::StrCat("revision ", revision, " was cut"));
          return;
        }
        CheckEvent(item.events[at++], change, revision);
      }
      next_ = revision + 1;
    }
  }

  void CheckEvent(const mvccpb::Event& event, const ModelChange& change, int64_t revision) {
    mvccpb::Event expected;
    if (change.is_delete) {
      expected.set_type(mvccpb::Event::DELETE);
      expected.mutable_kv()->set_key(change.key);
      expected.mutable_kv()->set_mod_revision(revision);
    } else {
      *expected.mutable_kv() = *model_.Get(change.key, revision);
    }
    mvccpb::Event seen = event;
    if (watch_.request.prev_kv()) {
      auto before = model_.Get(change.key, revision - 1);
      if (before && seen.has_prev_kv()) {
        *expected.mutable_prev_kv() = *before;
      } else if (before && !MayBeCompacted(revision)) {
        *expected.mutable_prev_kv() = *before;
      }
    }
    if (google::protobuf::util::MessageDifferencer::Equals(seen, expected)) return;
    Problem(absl::StrCat("wrong event {", seen.ShortDebugString(), "} expected {",
                         expected.ShortDebugString(), "}"));
  }

  bool MayBeCompacted(int64_t revision) const {
    for (int64_t compaction : truth_.compactions()) {
      if (compaction >= revision) return true;
    }
    return false;
  }

  void CheckCompacted(const WatchHistory::Item& item) {
    ended_ = true;
    for (int64_t compaction : truth_.compactions()) {
      if (compaction == item.compact_revision && next_ < compaction) return;
    }
    Problem(absl::StrCat("cancelled with compact revision ", item.compact_revision));
  }

  const WatchHistory& watch_;
  const Model& model_;
  const Truth& truth_;
  int64_t next_ = 0;
  bool ended_ = false;
  std::vector<std::string> problems_;
};

}  // namespace

std::vector<std::string> CheckWatches(const std::vector<WatchHistory>& watches,
                                      const Truth& truth) {
  std::vector<std::string> problems;
  for (const WatchHistory& watch : watches) {
    for (std::string& problem : WatchChecker(watch, truth).Run()) {
      problems.push_back(std::move(problem));
    }
  }
  return problems;
}

}  // namespace tidemark::sim
