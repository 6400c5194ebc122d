#include "bench/tidebench/process_sample.h"

#include <time.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "bench/tidebench/wire/client.h"
#include "src/base/check.h"

namespace tidemark::bench {
namespace {

int64_t ClockNs(clockid_t clock) {
  timespec now{};
  if (clock_gettime(clock, &now) != 0) return -1;
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

std::string ReadAll(const std::string& path) {
  std::ifstream file(path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// The number behind "name:" at the start of a line; 0 when there is none.
int64_t Field(const std::string& text, const std::string& name) {
  std::istringstream lines(text);
  std::string line;
  while (std::getline(lines, line)) {
    if (line.compare(0, name.size() + 1, name + ":") == 0) {
      return std::strtoll(line.c_str() + name.size() + 1, nullptr, 10);
    }
  }
  return 0;
}

double TickSeconds(int64_t ticks) {
  return static_cast<double>(ticks) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

}  // namespace

absl::StatusOr<ProcessSample> SampleProcess(pid_t pid) {
  ProcessSample sample;
  clockid_t clock{};
  if (clock_getcpuclockid(pid, &clock) != 0 || (sample.cpu_ns = ClockNs(clock)) < 0) {
    return absl::NotFoundError(absl::StrCat("no process ", pid));
  }
  const std::string folder = absl::StrCat("/proc/", pid);
  const std::string stat = ReadAll(folder + "/stat");
  const size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos) return absl::NotFoundError(absl::StrCat("no process ", pid));
  std::istringstream fields(stat.substr(name_end + 2));
  std::string skipped;
  for (int i = 0; i < 11; ++i) fields >> skipped;
  int64_t user_ticks = 0;
  int64_t system_ticks = 0;
  fields >> user_ticks >> system_ticks;
  sample.user_s = TickSeconds(user_ticks);
  sample.system_s = TickSeconds(system_ticks);
  const std::string status = ReadAll(folder + "/status");
  sample.rss_bytes = Field(status, "VmRSS") * 1024;
  sample.shared_bytes = Field(status, "RssShmem") * 1024;
  sample.peak_rss_bytes = Field(status, "VmHWM") * 1024;
  const std::string io = ReadAll(folder + "/io");
  sample.written_bytes = Field(io, "write_bytes");
  sample.read_bytes = Field(io, "read_bytes");
  return sample;
}

MachineSample SampleMachine() {
  MachineSample sample;
  sample.at_ns = MonotonicNs();
  sample.own_cpu_ns = ClockNs(CLOCK_PROCESS_CPUTIME_ID);
  std::ifstream file("/proc/stat");
  std::string label;
  int64_t user, nice, system, idle, io_wait, irq, soft_irq, steal;
  file >> label >> user >> nice >> system >> idle >> io_wait >> irq >> soft_irq >> steal;
  CHECK(file.good() && label == "cpu");
  sample.busy_s = TickSeconds(user + nice + system + irq + soft_irq + steal);
  return sample;
}

}  // namespace tidemark::bench
