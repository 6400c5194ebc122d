#include "src/base/check.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>

#include "absl/strings/str_cat.h"

namespace tidemark {
namespace {

std::atomic<FatalHandler> fatal_handler{nullptr};

}  // namespace

void SetFatalHandler(FatalHandler handler) { fatal_handler.store(handler); }

void Fatal(absl::string_view message) {
  if (FatalHandler handler = fatal_handler.load()) handler(message);
  std::fprintf(stderr, "FATAL: %.*s\n", static_cast<int>(message.size()), message.data());
  std::fflush(stderr);
  std::abort();
}

void CheckFailed(const char* file, int line, const char* condition, absl::string_view message) {
  Fatal(absl::StrCat("check failed at ", file, ":", line, ": ", condition,
                     message.empty() ? "" : ": ", message));
}

}  // namespace tidemark
