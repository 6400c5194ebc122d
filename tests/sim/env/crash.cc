#include "tests/sim/env/crash.h"

#include <cstdio>

#include "absl/strings/match.h"
#include "src/base/check.h"
#include "src/base/failpoint.h"
#include "tests/sim/env/seeded_random.h"

namespace tidemark::sim {
namespace {

[[noreturn]] void ThrowCrash(absl::string_view message) {
  const bool is_bug = absl::StartsWith(message, "check failed at ");
  // Printed at once: thrown through a destructor the message would be lost.
  if (is_bug) std::fprintf(stderr, "%s\n", std::string(message).c_str());
  throw SimulatedCrash(is_bug ? CrashKind::kCheckFailure : CrashKind::kFatal,
                       std::string(message));
}

}  // namespace

ScopedCrashHandlers::ScopedCrashHandlers(Random& random) : random_(random) {
  SetFatalHandler(&ThrowCrash);
  failpoint::SetHandler([this](absl::string_view point) { Reached(std::string(point)); });
}

ScopedCrashHandlers::~ScopedCrashHandlers() {
  failpoint::ClearHandler();
  SetFatalHandler(nullptr);
}

void ScopedCrashHandlers::CrashAt(std::string point, int64_t pass) {
  CHECK(pass >= 1);
  passes_left_[std::move(point)] = pass;
}

void ScopedCrashHandlers::CrashRandomly(uint64_t one_in) { random_one_in_ = one_in; }

void ScopedCrashHandlers::Disarm() {
  random_one_in_ = 0;
  passes_left_.clear();
}

void ScopedCrashHandlers::Reached(const std::string& point) {
  ++passes_[point];
  bool crash = random_one_in_ != 0 && DrawOneIn(random_, random_one_in_);
  if (auto left = passes_left_.find(point); left != passes_left_.end() && --left->second == 0) {
    passes_left_.erase(left);
    crash = true;
  }
  if (crash) throw SimulatedCrash(CrashKind::kFailPoint, point);
}

}  // namespace tidemark::sim
