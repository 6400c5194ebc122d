#include "src/server/app/file_limit.h"

#include <sys/resource.h>

#include <algorithm>

#include "src/base/log.h"

namespace tidemark::server {
namespace {

constexpr uint64_t kOwnFilesMax = 150 + 50 * 64;  // as many partitions as there may be

}  // namespace

void RaiseFileLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) TLOG(kWarn, "cannot raise the limit of open files");
}

uint64_t FileLimit() {
  rlimit limit{};
  return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 1024;
}

size_t ConnectionsMax(uint64_t descriptors) {
  return std::max<uint64_t>(descriptors - std::min(kOwnFilesMax, descriptors / 2),
                            2 * kMetricsConnectionsMax);
}

}  // namespace tidemark::server
