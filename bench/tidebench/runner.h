// Runs activities on one client: warm-up, measured span, and the end of what is outstanding.
//
// The first failed or wrong answer ends the run with its error: what answers wrongly has no speed.
// Bound to one thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bench/tidebench/activity.h"
#include "bench/tidebench/process_sample.h"
#include "bench/tidebench/wire/client.h"

namespace tidemark::bench {

struct RunOptions {
  int64_t warm_up_ns = 0;
  int64_t span_ns = 0;
  // Of each activity: the span goes on until they are there.
  int64_t least_answers = 0;
  pid_t server_pid = 0;                       // 0: not known
  int64_t silence_limit_ns = 90'000'000'000;  // without any answer; calls have a deadline of 60 s
  // Called about five times a second with how much of warm-up and span has passed (0 to 1).
  std::function<void(double)> on_progress = [](double) {};
};

// What the server used within the span.
struct ServerUse {
  double cpu_s = 0;
  double user_s = 0;
  double system_s = 0;
  double cores = 0;
  int64_t written_bytes = 0;
  int64_t read_bytes = 0;
  ProcessSample at_end;
};

struct RunResult {
  double span_s = 0;
  double client_cores = 0;
  double other_cores = 0;  // neither the client's nor the server's, kernel threads included
  std::optional<ServerUse> server;
};

class Runner {
 public:
  explicit Runner(Client& client) : client_(client) {}

  // Until every op of `activity` has nothing left to send.
  absl::Status RunToEnd(Activity* activity, const std::function<void()>& on_tick);
  absl::StatusOr<RunResult> Measure(const std::vector<Activity*>& activities,
                                    const RunOptions& options);

 private:
  struct Samples {
    MachineSample machine;
    std::optional<ProcessSample> server;
  };

  absl::Status Turn(const std::vector<Activity*>& activities, int64_t until_ns);
  // Turns until `end_ns` has passed, each activity has its `least_answers` and, so that a span
  // holds whole requests, one more answer came.
  absl::Status TurnUntil(const std::vector<Activity*>& activities, int64_t end_ns,
                         int64_t least_answers, const std::function<void()>& on_tick);
  absl::Status Drain(const std::vector<Activity*>& activities);
  absl::StatusOr<Samples> Sample(pid_t server_pid) const;
  static int64_t Answers(const std::vector<Activity*>& activities);
  static RunResult Summarize(const Samples& before, const Samples& after);

  Client& client_;
  int64_t silence_limit_ns_ = RunOptions().silence_limit_ns;
  int64_t answers_seen_ = 0;
  int64_t last_answer_ns_ = 0;
};

}  // namespace tidemark::bench
