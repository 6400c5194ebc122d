// A stream of requests of one kind, closed-loop (each answer brings the next request) or open-loop
// (at a rate).
//
// Hides when the next request is sent and which latencies count. Bound to one thread.
// Invariant: a latency counts once; in a closed loop if the answer came inside the measured span,
// in an open one if the request was due inside it, from when it was due.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "bench/tidebench/activity.h"
#include "bench/tidebench/arrivals.h"
#include "bench/tidebench/op.h"
#include "bench/tidebench/wire/client.h"

namespace tidemark::bench {

class Load : public Activity, private OpListener {
 public:
  struct Options {
    std::string name;
    std::optional<Arrivals> arrivals;  // none: closed loop
    bool is_main = true;
    // Hears of each request that was never sent, as it is charged.
    std::function<void(int64_t due_ns, int64_t now_ns)> on_never_sent;
    int64_t (*now_ns)() = MonotonicNs;
  };

  Load(Options options, std::vector<std::unique_ptr<Op>> ops);

  void Start(int64_t now_ns) override;
  void Pump(int64_t now_ns) override;    // open loop: begins what is due
  int64_t next_due_ns() const override;  // INT64_MAX when only an answer brings the next request
  void EndSpan(int64_t now_ns) override;
  void Stop() override { is_running_ = false; }
  bool is_idle() const override { return idle_.size() == ops_.size(); }

 private:
  void OnOpDone(Op* op, const absl::Status& status) override;
  void Begin(Op* op, int64_t due_ns);
  void Record(const Op& op, int64_t now_ns);

  Options options_;
  std::vector<std::unique_ptr<Op>> ops_;
  std::deque<Op*> idle_;  // the longest idle first, so that all connections take part
  bool is_running_ = false;
};

}  // namespace tidemark::bench
