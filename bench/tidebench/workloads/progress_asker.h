// Asks watch streams for progress, each at a fixed interval, as kube-apiserver does while a
// consistent list waits: how long it takes until a stream is known to have told of everything.
//
// A server may leave questions of a stream that lags unanswered, and what comes does not say which
// question it answers. Bound to one thread.
// Invariants:
//  1. A question is answered by nothing that tells of less than was acknowledged when it was asked.
//  2. Of questions between which nothing was written, each answer closes one, the oldest.
//  3. A question counts if it was due inside the measured span: with the time until its answer, or
//     until it is given up, some time after the load.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "bench/tidebench/activity.h"
#include "bench/tidebench/wire/client.h"
#include "bench/tidebench/workloads/watch_stream.h"

namespace tidemark::bench {

class ProgressAsker : public Activity {
 public:
  static constexpr int64_t kPatienceNs = 500'000'000;  // after the load

  // The streams must be open before this starts. `newest_revision` is that of all that the client
  // knows to be written.
  ProgressAsker(Description description, const std::vector<ProgressStream*>& streams,
                std::function<int64_t()> newest_revision, int64_t interval_ns,
                int64_t (*now_ns)() = MonotonicNs);

  void Start(int64_t now_ns) override;
  void Pump(int64_t now_ns) override;
  int64_t next_due_ns() const override;
  void BeginSpan(int64_t now_ns) override;
  void Stop() override;
  bool is_idle() const override { return !is_running_ && !HasOpen(result_); }
  std::string waits_for() const override { return name() + ": questions without an answer"; }

 private:
  struct Question {
    int64_t due_ns = 0;
    int64_t revision = 0;  // which an answer must tell of
  };
  struct Asked : public ProgressStream::Listener {
    void OnProgress(int64_t revision) override { asker->OnAnswer(this, revision); }

    ProgressAsker* asker = nullptr;
    ProgressStream* stream = nullptr;
    std::deque<Question> open;
    ActivityResult in_span;  // its part of the counts
  };

  static bool HasOpen(const ActivityResult& result) {
    return result.due > result.done + result.never_answered;
  }
  void Ask(Asked* asked, int64_t due_ns);
  void OnAnswer(Asked* asked, int64_t revision);
  void Close(Asked* asked, int64_t now_ns, int64_t ActivityResult::*as);  // the oldest
  void GiveUp(int64_t now_ns);

  std::vector<Asked> asked_;
  const std::function<int64_t()> newest_revision_;
  const int64_t interval_ns_;  // of all streams
  int64_t (*const now_ns_)();
  int64_t next_ns_ = 0;
  size_t next_ = 0;  // which is asked then: they take turns within the interval
  bool is_running_ = false;
  int64_t patience_ends_ns_ = INT64_MAX;
};

}  // namespace tidemark::bench
