#include "bench/load/closed_loop.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

#include <grpcpp/completion_queue.h>

#include "absl/time/clock.h"
#include "src/base/check.h"

namespace tidemark::load {
namespace {

constexpr absl::Duration kSilenceLimit = absl::Seconds(30);

struct CpuTimes {
  absl::Time at;
  absl::Duration server;
  absl::Duration client;
  absl::Duration machine;
};

// Busy time of all cores: user, nice, system, irq, softirq and steal of /proc/stat's first line.
absl::Duration MachineCpuTime() {
  std::ifstream file("/proc/stat");
  std::string label;
  int64_t user, nice, system, idle, io_wait, irq, soft_irq, steal;
  file >> label >> user >> nice >> system >> idle >> io_wait >> irq >> soft_irq >> steal;
  CHECK(file.good() && label == "cpu");
  return absl::Seconds(user + nice + system + irq + soft_irq + steal) /
         static_cast<double>(sysconf(_SC_CLK_TCK));
}

CpuTimes Sample(const process::ServerProcess& server) {
  rusage own;
  CHECK(getrusage(RUSAGE_SELF, &own) == 0);
  return {
      .at = absl::Now(),
      .server = server.CpuTime(),
      .client = absl::DurationFromTimeval(own.ru_utime) + absl::DurationFromTimeval(own.ru_stime),
      .machine = MachineCpuTime()};
}

double Percentile(std::vector<int64_t>* values, double fraction) {
  auto at = values->begin() + static_cast<int64_t>(fraction * (values->size() - 1));
  std::nth_element(values->begin(), at, values->end());
  return static_cast<double>(*at);
}

Measurement Summarize(const CpuTimes& before, const CpuTimes& after,
                      std::vector<int64_t>* latencies_ns) {
  double count = static_cast<double>(latencies_ns->size());
  double elapsed_s = absl::ToDoubleSeconds(after.at - before.at);
  auto cores = [&](absl::Duration CpuTimes::*field) {
    return absl::ToDoubleSeconds(after.*field - before.*field) / elapsed_s;
  };
  Measurement result;
  result.requests_per_s = count / elapsed_s;
  result.p50_us = Percentile(latencies_ns, 0.50) / 1e3;
  result.p99_us = Percentile(latencies_ns, 0.99) / 1e3;
  result.server_cores = cores(&CpuTimes::server);
  result.client_cores = cores(&CpuTimes::client);
  result.other_cores =
      std::max(0.0, cores(&CpuTimes::machine) - result.server_cores - result.client_cores);
  result.server_cpu_us = result.server_cores * elapsed_s * 1e6 / count;
  return result;
}

class ClosedLoop {
 public:
  ClosedLoop(const process::ServerProcess& server, Workload workload, const LoopOptions& options,
             Dataset* dataset)
      : server_(server), options_(options) {
    std::vector<std::shared_ptr<grpc::Channel>> channels;
    for (int64_t i = 0; i < options.connections; ++i) channels.push_back(server.Connect());
    for (int64_t i = 0; i < options.callers; ++i) {
      callers_.push_back(MakeCaller(workload, channels[i % options.connections], dataset,
                                    {.number = i, .callers = options.callers}));
    }
  }

  absl::StatusOr<Measurement> Run() {
    absl::Time start = absl::Now();
    for (auto& caller : callers_) Send(caller.get());
    absl::Status status = Exchange(start + options_.warm_up, nullptr);
    CpuTimes before = Sample(server_);
    std::vector<int64_t> latencies_ns;
    if (status.ok()) status = Exchange(before.at + options_.duration, &latencies_ns);
    CpuTimes after = Sample(server_);
    status.Update(Drain());
    if (!status.ok()) return status;
    if (latencies_ns.empty()) return absl::DeadlineExceededError("no answer in the measured time");
    return Summarize(before, after, &latencies_ns);
  }

 private:
  void Send(Caller* caller) {
    caller->sent_at_ns = absl::GetCurrentTimeNanos();
    caller->Send(&queue_);
    ++outstanding_;
  }

  // One answer, checked.
  absl::StatusOr<Caller*> Receive() {
    void* tag = nullptr;
    bool ok = false;
    auto deadline = absl::ToChronoTime(absl::Now() + kSilenceLimit);
    if (queue_.AsyncNext(&tag, &ok, deadline) != grpc::CompletionQueue::GOT_EVENT) {
      Fatal("gRPC ended no call within 30 s, though calls have shorter deadlines");
    }
    --outstanding_;
    auto* caller = static_cast<Caller*>(tag);
    absl::Status status = caller->CheckAnswer();
    if (!status.ok()) return status;
    return caller;
  }

  absl::Status Exchange(absl::Time end, std::vector<int64_t>* latencies_ns) {
    int64_t end_ns = absl::ToUnixNanos(end);
    int64_t now_ns = 0;
    while (now_ns < end_ns) {
      absl::StatusOr<Caller*> caller = Receive();
      if (!caller.ok()) return caller.status();
      now_ns = absl::GetCurrentTimeNanos();
      if (latencies_ns != nullptr) latencies_ns->push_back(now_ns - (*caller)->sent_at_ns);
      Send(*caller);
    }
    return absl::OkStatus();
  }

  // Callers die only without a call outstanding.
  absl::Status Drain() {
    absl::Status first;
    while (outstanding_ > 0) first.Update(Receive().status());
    return first;
  }

  const process::ServerProcess& server_;
  const LoopOptions options_;
  grpc::CompletionQueue queue_;
  std::vector<std::unique_ptr<Caller>> callers_;
  int64_t outstanding_ = 0;
};

}  // namespace

absl::StatusOr<Measurement> RunClosedLoop(const process::ServerProcess& server, Workload workload,
                                          const LoopOptions& options, Dataset* dataset) {
  return ClosedLoop(server, workload, options, dataset).Run();
}

}  // namespace tidemark::load
