// What a thread asks of the kernel's scheduler, for itself.
//
// Hides sched_setattr. Linux lets a thread choose how long it runs at a stretch (its slice, from
// Linux 6.12 on); who wakes up comes before others with a longer one. Where there are more runnable
// threads than cores, a thread with the usual slice of 3 ms waits about so long for a core each
// time. A wish only: where the kernel knows nothing of it nothing changes.
#pragma once

namespace tidemark {

enum class ThreadUrgency {
  kServing,     // requests wait for it: a short slice, so that it is woken at once
  kBackground,  // nobody does: less of the cores, and off them as soon as somebody else wakes up
};

// For the calling thread.
void AskFor(ThreadUrgency urgency);

}  // namespace tidemark
