// Fail-stop: a broken invariant or an environment that cannot be trusted ends the process at once.
//
//   CHECK(applied <= committed);
//   CHECK_MSG(applied <= committed, absl::StrCat("applied ", applied));
//   Fatal("fdatasync /data/journal/0001.log: Input/output error");
//
// CHECK is for what can only be our bug; Fatal for what the machine did to us. Both are always on.
// Refused requests are neither: they return absl::Status.
// The simulator replaces all that follows: it stops one simulated node, not the process.
#pragma once

#include "absl/strings/string_view.h"

namespace tidemark {

// Called with the whole message, by whichever thread and whatever it holds; must not return (it
// aborts or throws).
using FatalHandler = void (*)(absl::string_view message);

// Replaces what happens after the message is built; nullptr restores printing and aborting.
void SetFatalHandler(FatalHandler handler);

[[noreturn]] void Fatal(absl::string_view message);
[[noreturn]] void CheckFailed(const char* file, int line, const char* condition,
                              absl::string_view message);

}  // namespace tidemark

#define CHECK(condition) CHECK_MSG(condition, "")
#define CHECK_MSG(condition, message)                                     \
  do {                                                                    \
    if (!(condition)) [[unlikely]]                                        \
      ::tidemark::CheckFailed(__FILE__, __LINE__, #condition, (message)); \
  } while (false)
