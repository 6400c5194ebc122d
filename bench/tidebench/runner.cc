#include "bench/tidebench/runner.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace tidemark::bench {
namespace {

constexpr int64_t kTickNs = 200'000'000;

}  // namespace

int64_t Runner::Answers(const std::vector<Activity*>& activities) {
  int64_t answers = 0;
  for (const Activity* activity : activities) answers += activity->answers();
  return answers;
}

absl::Status Runner::Turn(const std::vector<Activity*>& activities, int64_t until_ns) {
  for (const Activity* activity : activities)
    until_ns = std::min(until_ns, activity->next_due_ns());
  absl::Status status = client_.Turn(until_ns, [&] {
    const int64_t now_ns = MonotonicNs();
    for (Activity* activity : activities) activity->Pump(now_ns);
  });
  for (const Activity* activity : activities) {
    if (!activity->failure().ok()) return activity->failure();
  }
  const int64_t answers = Answers(activities);
  const int64_t now_ns = MonotonicNs();
  if (answers != answers_seen_) {
    answers_seen_ = answers;
    last_answer_ns_ = now_ns;
  } else if (now_ns - last_answer_ns_ > silence_limit_ns_) {
    std::string waiting;
    for (const Activity* activity : activities) {
      if (!activity->is_idle()) absl::StrAppend(&waiting, "; ", activity->waits_for());
    }
    return absl::DeadlineExceededError(absl::StrCat("nothing comes any more", waiting));
  }
  return status;
}

absl::Status Runner::RunToEnd(Activity* activity, const std::function<void()>& on_tick) {
  answers_seen_ = 0;
  last_answer_ns_ = MonotonicNs();
  activity->Start(MonotonicNs());
  int64_t next_tick_ns =
      MonotonicNs();  // the first turn sends what begins it and waits for nothing
  while (!activity->is_idle()) {
    absl::Status status = Turn({activity}, next_tick_ns);
    if (!status.ok()) return status;
    if (MonotonicNs() >= next_tick_ns) {
      on_tick();
      next_tick_ns = MonotonicNs() + kTickNs;
    }
  }
  return absl::OkStatus();
}

absl::Status Runner::TurnUntil(const std::vector<Activity*>& activities, int64_t end_ns,
                               int64_t least_answers, const std::function<void()>& on_tick) {
  const auto has_enough = [&](const Activity* activity) {
    const ActivityResult& result = activity->result();
    return std::min(result.answers, result.latency_ns.count()) >= least_answers;
  };
  int64_t next_tick_ns = MonotonicNs() + kTickNs;
  int64_t answers_at_end = -1;
  for (;;) {
    const int64_t now_ns = MonotonicNs();
    if (now_ns >= next_tick_ns) {
      on_tick();
      next_tick_ns = now_ns + kTickNs;
    }
    if (now_ns >= end_ns && std::all_of(activities.begin(), activities.end(), has_enough)) {
      if (answers_at_end < 0) answers_at_end = Answers(activities);
      if (Answers(activities) > answers_at_end) return absl::OkStatus();
    }
    absl::Status status =
        Turn(activities, now_ns < end_ns ? std::min(end_ns, next_tick_ns) : next_tick_ns);
    if (!status.ok()) return status;
  }
}

absl::Status Runner::Drain(const std::vector<Activity*>& activities) {
  for (Activity* activity : activities) activity->Stop();
  const auto is_idle = [](const Activity* activity) { return activity->is_idle(); };
  while (!std::all_of(activities.begin(), activities.end(), is_idle)) {
    absl::Status status = Turn(activities, MonotonicNs() + std::min(kTickNs, silence_limit_ns_));
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::StatusOr<Runner::Samples> Runner::Sample(pid_t server_pid) const {
  Samples samples;
  samples.machine = SampleMachine();
  if (server_pid != 0) {
    absl::StatusOr<ProcessSample> server = SampleProcess(server_pid);
    if (!server.ok()) return server.status();
    samples.server = *server;
  }
  return samples;
}

RunResult Runner::Summarize(const Samples& before, const Samples& after) {
  RunResult result;
  result.span_s = static_cast<double>(after.machine.at_ns - before.machine.at_ns) / 1e9;
  const double busy_cores = (after.machine.busy_s - before.machine.busy_s) / result.span_s;
  result.client_cores = static_cast<double>(after.machine.own_cpu_ns - before.machine.own_cpu_ns) /
                        1e9 / result.span_s;
  result.other_cores = busy_cores - result.client_cores;
  if (before.server && after.server) {
    ServerUse& server = result.server.emplace();
    server.cpu_s = static_cast<double>(after.server->cpu_ns - before.server->cpu_ns) / 1e9;
    server.user_s = after.server->user_s - before.server->user_s;
    server.system_s = after.server->system_s - before.server->system_s;
    server.cores = server.cpu_s / result.span_s;
    server.written_bytes = after.server->written_bytes - before.server->written_bytes;
    server.read_bytes = after.server->read_bytes - before.server->read_bytes;
    server.at_end = *after.server;
    result.other_cores -= server.cores;
  }
  result.other_cores = std::max(0.0, result.other_cores);  // ticks are coarser than the CPU clocks
  return result;
}

absl::StatusOr<RunResult> Runner::Measure(const std::vector<Activity*>& activities,
                                          const RunOptions& options) {
  silence_limit_ns_ = options.silence_limit_ns;
  answers_seen_ = Answers(activities);
  last_answer_ns_ = MonotonicNs();
  std::vector<Activity*> started;
  for (Activity* activity : activities) {
    activity->Start(MonotonicNs());
    started.push_back(activity);
    while (!activity->is_ready()) {
      absl::Status status = Turn(started, MonotonicNs() + kTickNs);
      if (!status.ok()) return status;
    }
  }
  const int64_t start_ns = MonotonicNs();
  const auto whole_ns = static_cast<double>(options.warm_up_ns + options.span_ns);
  const auto on_tick = [&] {
    options.on_progress(static_cast<double>(MonotonicNs() - start_ns) / whole_ns);
  };
  absl::Status status = TurnUntil(activities, start_ns + options.warm_up_ns, 0, on_tick);
  if (!status.ok()) return status;

  absl::StatusOr<Samples> before = Sample(options.server_pid);
  if (!before.ok()) return before.status();
  const int64_t begin_ns = MonotonicNs();
  for (Activity* activity : activities) activity->BeginSpan(begin_ns);
  status = TurnUntil(activities, begin_ns + options.span_ns, options.least_answers, on_tick);
  if (!status.ok()) return status;
  const int64_t end_ns = MonotonicNs();
  for (Activity* activity : activities) activity->EndSpan(end_ns);
  absl::StatusOr<Samples> after = Sample(options.server_pid);
  if (!after.ok()) return after.status();

  status = Drain(activities);
  if (!status.ok()) return status;
  return Summarize(*before, *after);
}

}  // namespace tidemark::bench
