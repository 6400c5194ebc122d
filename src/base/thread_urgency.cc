#include "src/base/thread_urgency.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>

namespace tidemark {
namespace {

// The kernel's struct sched_attr in its first version; its header contradicts the C library's.
struct SchedulingWish {
  uint32_t size = sizeof(SchedulingWish);
  uint32_t policy = SCHED_OTHER;
  uint64_t flags = 0;
  int32_t nice = 0;
  uint32_t priority = 0;
  uint64_t slice_ns = 0;  // sched_runtime; the other two are for real time
  uint64_t deadline_ns = 0;
  uint64_t period_ns = 0;
};

constexpr uint64_t kServingSliceNs = 300'000;
constexpr uint64_t kBackgroundSliceNs = 100'000;  // the least that Linux knows
// A step of nice is a factor of 1.25: a third of the cores when others want them.
constexpr int kBackgroundNice = 5;
constexpr int kLowestNice = 19;

}  // namespace

void AskFor(ThreadUrgency urgency) {
  const bool serving = urgency == ThreadUrgency::kServing;
  errno = 0;
  const int nice_now = getpriority(PRIO_PROCESS, 0);  // Linux: of this thread
  if (errno != 0) return;
  SchedulingWish wish;
  wish.nice = serving ? nice_now : std::min(nice_now + kBackgroundNice, kLowestNice);
  wish.slice_ns = serving ? kServingSliceNs : kBackgroundSliceNs;
  syscall(SYS_sched_setattr, 0, &wish, 0);
}

}  // namespace tidemark
