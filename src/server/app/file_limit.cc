#include "src/server/app/file_limit.h"

#include <sys/resource.h>

#include <algorithm>

#include "src/base/log.h"

namespace tidemark::server {
namespace {

constexpr uint64_t kOwnFilesMax = 150 + 50 * 64;  // as many partitions as there may be

}  // namespace

uint64_t RaiseFileLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
  const rlim_t before = limit.rlim_cur;
  limit.rlim_cur = limit.rlim_max;
  if (before == limit.rlim_max || setrlimit(RLIMIT_NOFILE, &limit) == 0) return limit.rlim_max;
  TLOG(kWarn, "cannot raise the limit of open files");
  return before;
}

size_t ConnectionsMax(uint64_t descriptors) {
  return std::max<uint64_t>(descriptors - std::min(kOwnFilesMax, descriptors / 2),
                            2 * kMetricsConnectionsMax);
}

}  // namespace tidemark::server
