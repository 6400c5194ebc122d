// A part of what a run does: requests of one kind, or events that are listened for; and what was
// seen of it.
//
// The runner starts all of them, marks the measured span, stops them and waits until they are idle.
// Bound to one thread.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "bench/tidebench/histogram.h"

namespace tidemark::bench {

struct ActivityResult {
  int64_t answers = 0;  // or deliveries; those that came inside the measured span
  int64_t keys = 0;     // that they carried, for lists
  // Of those that count: in an open loop the ones that were due inside the span, else the ones that
  // were answered inside. In the end due = done + never_sent + never_answered.
  int64_t due = 0;
  int64_t done = 0;
  Histogram latency_ns;  // of all of them
  // All outstanding requests were taken until the span's end. They are in the histogram with the
  // time they had waited until then: the percentiles are lower bounds.
  int64_t never_sent = 0;
  // The same of what a server may leave unanswered.
  int64_t never_answered = 0;
};

class Activity {
 public:
  struct Description {
    std::string name;
    std::string unit = "request";
    bool is_main = true;  // server CPU is divided by the answers of these
    bool is_open_loop = false;
  };

  explicit Activity(Description description) : description_(std::move(description)) {}
  virtual ~Activity() = default;

  const Description& description() const { return description_; }
  const std::string& name() const { return description_.name; }
  const ActivityResult& result() const { return result_; }
  int64_t answers() const { return answers_; }  // all of them, since the beginning
  // The first failed or wrong answer.
  const absl::Status& failure() const { return failure_; }

  virtual void Start(int64_t now_ns) = 0;
  // What is started next may rely on it.
  virtual bool is_ready() const { return true; }
  virtual void Pump(int64_t now_ns) {}  // does what is due
  virtual int64_t next_due_ns() const { return INT64_MAX; }
  virtual void Stop() = 0;  // begins nothing more
  virtual bool is_idle() const = 0;
  // For an error's text: why it is not.
  virtual std::string waits_for() const { return name() + ": requests without an answer"; }

  virtual void BeginSpan(int64_t now_ns);
  virtual void EndSpan(int64_t now_ns) { span_end_ns_ = now_ns; }

 protected:
  bool IsInSpan(int64_t at_ns) const { return at_ns >= span_begin_ns_ && at_ns < span_end_ns_; }
  void Fail(const absl::Status& status);

  ActivityResult result_;
  int64_t answers_ = 0;

 private:
  const Description description_;
  int64_t span_begin_ns_ = INT64_MAX;
  int64_t span_end_ns_ = INT64_MAX;
  absl::Status failure_;
};

}  // namespace tidemark::bench
