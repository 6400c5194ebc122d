#include "bench/tidebench/workloads/progress_asker.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "bench/tidebench/op.h"

namespace tidemark::bench {

ProgressAsker::ProgressAsker(Description description, const std::vector<ProgressStream*>& streams,
                             std::function<int64_t()> newest_revision, int64_t interval_ns,
                             int64_t (*now_ns)())
    : Activity(std::move(description)),
      asked_(streams.size()),
      newest_revision_(std::move(newest_revision)),
      interval_ns_(interval_ns / static_cast<int64_t>(streams.size())),
      now_ns_(now_ns) {
  for (size_t i = 0; i < streams.size(); ++i) {
    asked_[i].asker = this;
    asked_[i].stream = streams[i];
    streams[i]->set_progress_listener(&asked_[i]);
  }
}

void ProgressAsker::Start(int64_t now_ns) {
  is_running_ = true;
  next_ns_ = now_ns + interval_ns_;
}

void ProgressAsker::BeginSpan(int64_t now_ns) {
  Activity::BeginSpan(now_ns);
  for (Asked& asked : asked_) asked.in_span = ActivityResult();
}

void ProgressAsker::Stop() {
  is_running_ = false;
  patience_ends_ns_ = now_ns_() + kPatienceNs;
}

int64_t ProgressAsker::next_due_ns() const {
  return is_idle() ? INT64_MAX : std::min(next_ns_, patience_ends_ns_);
}

void ProgressAsker::Pump(int64_t now_ns) {
  for (; !is_idle() && next_ns_ <= now_ns; next_ns_ += interval_ns_) {
    Asked& asked = asked_[next_++ % asked_.size()];
    // After the load only again.
    if (is_running_ || HasOpen(asked.in_span)) Ask(&asked, next_ns_);
  }
  if (!is_idle() && now_ns >= patience_ends_ns_) GiveUp(now_ns);
}

void ProgressAsker::Ask(Asked* asked, int64_t due_ns) {
  asked->open.push_back({due_ns, newest_revision_()});
  if (IsInSpan(due_ns)) {
    ++asked->in_span.due;
    ++result_.due;
  }
  asked->stream->RequestProgress();
}

void ProgressAsker::OnAnswer(Asked* asked, int64_t revision) {
  ++answers_;
  const int64_t now_ns = now_ns_();
  const std::deque<Question>& open = asked->open;
  size_t answered = 0;
  for (size_t i = 0; i < open.size() && open[i].revision <= revision; ++i) {
    if (i == 0 || open[i].revision > open[i - 1].revision) answered = i + 1;
  }
  for (; answered > 0; --answered) {
    if (IsInSpan(now_ns)) ++result_.answers;
    Close(asked, now_ns, &ActivityResult::done);
  }
}

void ProgressAsker::Close(Asked* asked, int64_t now_ns, int64_t ActivityResult::*as) {
  const int64_t due_ns = asked->open.front().due_ns;
  asked->open.pop_front();
  if (!IsInSpan(due_ns)) return;
  ++(asked->in_span.*as);
  ++(result_.*as);
  result_.latency_ns.Add(now_ns - due_ns);
}

void ProgressAsker::GiveUp(int64_t now_ns) {
  for (Asked& asked : asked_) {
    while (!asked.open.empty()) Close(&asked, now_ns, &ActivityResult::never_answered);
    if (asked.in_span.due > 0 && asked.in_span.done == 0) {
      Fail(WrongAnswer(absl::StrCat("none of ", asked.in_span.due, " questions of a stream")));
    }
  }
}

}  // namespace tidemark::bench
