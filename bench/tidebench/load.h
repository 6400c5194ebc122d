// A stream of requests of one kind, closed-loop (each answer brings the next request) or open-loop
// (at a rate), and what was seen of it.
//
// Hides when the next request is sent and which latencies count. Bound to one thread.
// Invariant: a latency counts once; in a closed loop if the answer came inside the measured span,
// in an open one if the request was due inside it, from when it was due.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "bench/tidebench/arrivals.h"
#include "bench/tidebench/histogram.h"
#include "bench/tidebench/op.h"
#include "bench/tidebench/wire/client.h"

namespace tidemark::bench {

struct LoadResult {
  int64_t answers = 0;  // that came inside the measured span
  Histogram latency_ns;
  // Open loop: due inside the span, but all outstanding requests were taken until its end. They are
  // in the histogram with the time they had waited until then: the percentiles are lower bounds.
  int64_t never_sent = 0;
};

class Load : public OpListener {
 public:
  struct Options {
    std::string name;
    std::optional<Arrivals> arrivals;  // none: closed loop
    int64_t (*now_ns)() = MonotonicNs;
  };

  Load(Options options, std::vector<std::unique_ptr<Op>> ops);

  const std::string& name() const { return options_.name; }
  int64_t outstanding_limit() const { return static_cast<int64_t>(ops_.size()); }
  bool is_open_loop() const { return options_.arrivals.has_value(); }

  void Start(int64_t now_ns);
  // Open loop: begins what is due.
  void Pump(int64_t now_ns);
  int64_t next_due_ns() const;  // INT64_MAX when only an answer can bring the next request

  void BeginSpan(int64_t now_ns);
  void EndSpan(int64_t now_ns);
  // Begins nothing more.
  void Stop() { is_running_ = false; }
  bool is_idle() const { return idle_.size() == ops_.size(); }

  const LoadResult& result() const { return result_; }
  int64_t answers() const { return answers_; }  // all of them, since the beginning
  // The first failed or wrong answer.
  const absl::Status& failure() const { return failure_; }

 private:
  void OnOpDone(Op* op, const absl::Status& status) override;
  void Begin(Op* op, int64_t due_ns);
  void Record(const Op& op, int64_t now_ns);
  bool IsInSpan(int64_t at_ns) const { return at_ns >= span_begin_ns_ && at_ns < span_end_ns_; }

  Options options_;
  std::vector<std::unique_ptr<Op>> ops_;
  std::vector<Op*> idle_;
  bool is_running_ = false;
  int64_t span_begin_ns_ = INT64_MAX;
  int64_t span_end_ns_ = INT64_MAX;
  LoadResult result_;
  int64_t answers_ = 0;
  absl::Status failure_;
};

}  // namespace tidemark::bench
