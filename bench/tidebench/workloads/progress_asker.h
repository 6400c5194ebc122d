// Asks watch streams for progress, each at a fixed interval, as kube-apiserver does while a
// consistent list waits: how long an answer takes.
//
// A server may leave a question of a stream that lags unanswered; then the next one asks again, and
// the time counts from the first. Bound to one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "bench/tidebench/activity.h"
#include "bench/tidebench/workloads/watch_stream.h"

namespace tidemark::bench {

class ProgressAsker : public Activity {
 public:
  // The streams must be open before this starts.
  ProgressAsker(Description description, std::vector<WatchStream*> streams, int64_t interval_ns);

  void Start(int64_t now_ns) override;
  void Pump(int64_t now_ns) override;
  int64_t next_due_ns() const override { return is_running_ ? next_ns_ : INT64_MAX; }
  void Stop() override { is_running_ = false; }
  bool is_idle() const override { return !is_running_; }

 private:
  struct Asked : public WatchStream::ProgressListener {
    void OnProgress(const absl::Status& status) override { asker->OnAnswer(this, status); }

    ProgressAsker* asker = nullptr;
    WatchStream* stream = nullptr;
    int64_t since_ns = -1;  // no question open
  };
  void OnAnswer(Asked* asked, const absl::Status& status);

  std::vector<Asked> asked_;
  const int64_t interval_ns_;
  int64_t next_ns_ = 0;
  size_t next_ = 0;  // which is asked then: they take turns within the interval
  bool is_running_ = false;
};

}  // namespace tidemark::bench
