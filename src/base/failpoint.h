// Named places where tests kill, delay or fail the process; and planted bugs that prove the tests.
//
//   FAIL_POINT("journal.before_sync");          // a no-op costing one relaxed load unless armed
//   if (PLANTED_BUG("journal_ack_before_sync")) ...  // constant false unless TIDEMARK_PLANTED_BUGS
//
// Armed by the environment (TIDEMARK_FAILPOINTS="journal.before_sync=kill@20;...": at the 20th
// pass; actions kill, abort, sleep:MILLISECONDS) or by a test's handler.
// Thread-safe.
#pragma once

#include <atomic>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/strings/string_view.h"

namespace tidemark::failpoint {

extern std::atomic<bool> any_armed;

// Called at each pass of any point while armed; may throw (simulator) or end the process.
using Handler = absl::AnyInvocable<void(absl::string_view name)>;
void SetHandler(Handler handler);
void ClearHandler();
// Parses TIDEMARK_FAILPOINTS and arms it. Unknown syntax is Fatal.
void ArmFromEnvironment();

void Reached(absl::string_view name);

}  // namespace tidemark::failpoint

#define FAIL_POINT(name)                                                          \
  do {                                                                            \
    if (::tidemark::failpoint::any_armed.load(std::memory_order_relaxed))         \
        [[unlikely]]                                                              \
      ::tidemark::failpoint::Reached(name);                                       \
  } while (false)

#ifdef TIDEMARK_PLANTED_BUGS
namespace tidemark::planted_bug {
bool Active(absl::string_view name);
// Turns one bug on ("" for none). Also read once from TIDEMARK_PLANTED_BUG.
void Activate(std::string name);
}  // namespace tidemark::planted_bug
#define PLANTED_BUG(name) ::tidemark::planted_bug::Active(name)
#else
#define PLANTED_BUG(name) false
#endif
