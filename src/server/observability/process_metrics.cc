#include <dirent.h>
#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "absl/strings/numbers.h"
#include "src/server/observability/metrics.h"

namespace tidemark::server {
namespace {

int CountOpenFiles() {
  DIR* directory = opendir("/proc/self/fd");
  if (directory == nullptr) return 0;
  int count = 0;
  while (readdir(directory) != nullptr) ++count;
  closedir(directory);
  return count - 3;  // ".", "..", and the directory itself
}

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  auto seconds = [](const timeval& t) { return static_cast<double>(t.tv_sec) + t.tv_usec / 1e6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// What the machine's (or container's) network sent and received: a line of names and one of values.
struct NetworkBytes {
  double received = 0;
  double sent = 0;
};
NetworkBytes ReadNetworkBytes() {
  std::ifstream netstat("/proc/self/net/netstat");
  std::string names_line, values_line;
  while (std::getline(netstat, names_line) && std::getline(netstat, values_line)) {
    std::istringstream names(names_line), values(values_line);
    std::string name, value;
    if (!(names >> name) || name != "IpExt:") continue;
    values >> value;
    NetworkBytes bytes;
    while (names >> name && values >> value) {
      if (name == "InOctets") (void)absl::SimpleAtod(value, &bytes.received);
      if (name == "OutOctets") (void)absl::SimpleAtod(value, &bytes.sent);
    }
    return bytes;
  }
  return {};
}

void AddNetworkMetrics(Metrics& metrics) {
  auto& received = metrics.Counter("process_network_receive_bytes_total",
                                   "Number of bytes received by the process over the network.");
  auto& sent = metrics.Counter("process_network_transmit_bytes_total",
                               "Number of bytes sent by the process over the network.");
  metrics.OnScrape([&] {
    NetworkBytes bytes = ReadNetworkBytes();
    if (bytes.received > received.Value()) received.Increment(bytes.received - received.Value());
    if (bytes.sent > sent.Value()) sent.Increment(bytes.sent - sent.Value());
  });
}

}  // namespace

void AddProcessMetrics(Metrics& metrics, absl::Time process_start) {
  auto& resident = metrics.Gauge("process_resident_memory_bytes", "Resident memory size in bytes.");
  auto& virtual_size =
      metrics.Gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.");
  rlimit address_space{};
  getrlimit(RLIMIT_AS, &address_space);
  metrics
      .Gauge("process_virtual_memory_max_bytes",
             "Maximum amount of virtual memory available in bytes.")
      .Set(static_cast<double>(address_space.rlim_cur));
  AddNetworkMetrics(metrics);
  auto& cpu = metrics.Counter("process_cpu_seconds_total",
                              "Total user and system CPU time spent in seconds.");
  auto& open = metrics.Gauge("process_open_fds", "Number of open file descriptors.");
  auto& most = metrics.Gauge("process_max_fds", "Maximum number of open file descriptors.");
  auto& used = metrics.Gauge("os_fd_used", "The number of used file descriptors.");
  auto& limit = metrics.Gauge("os_fd_limit", "The file descriptor limit.");
  metrics
      .Gauge("process_start_time_seconds", "Start time of the process since unix epoch in seconds.")
      .Set(absl::ToUnixMillis(process_start) / 1000.0);
  metrics.OnScrape([&] {
    std::ifstream statm("/proc/self/statm");
    double total_pages = 0, resident_pages = 0;
    if (statm >> total_pages >> resident_pages) {
      double page = static_cast<double>(sysconf(_SC_PAGESIZE));
      resident.Set(resident_pages * page);
      virtual_size.Set(total_pages * page);
    }
    double now = CpuSeconds();
    if (now > cpu.Value()) cpu.Increment(now - cpu.Value());
    int files = CountOpenFiles();
    open.Set(files);
    used.Set(files);
    rlimit files_limit{};
    if (getrlimit(RLIMIT_NOFILE, &files_limit) == 0) {
      most.Set(static_cast<double>(files_limit.rlim_cur));
      limit.Set(static_cast<double>(files_limit.rlim_cur));
    }
  });
}

}  // namespace tidemark::server
