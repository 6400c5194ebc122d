#include "src/base/failpoint.h"

#include <csignal>
#include <cstdlib>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "src/base/check.h"
#include "src/base/mutex.h"

namespace tidemark::failpoint {

std::atomic<bool> any_armed{false};

namespace {

enum class Action { kKill, kAbort, kSleep };

struct ArmedPoint {
  std::string name;
  Action action = Action::kKill;
  absl::Duration sleep;
  int64_t at_pass = 0;  // 0: at every pass
  std::atomic<int64_t> passes{0};
};
using ArmedPoints = std::vector<std::unique_ptr<ArmedPoint>>;

// Shared so that a point runs without the lock: it may sleep, throw or pass another point.
struct State {
  Mutex mutex;
  std::shared_ptr<Handler> handler ABSL_GUARDED_BY(mutex);
  std::shared_ptr<const ArmedPoints> points ABSL_GUARDED_BY(mutex);
};

State& GetState() {
  static State* state = new State;
  return *state;
}

void Rearm(State& state) ABSL_EXCLUSIVE_LOCKS_REQUIRED(state.mutex) {
  any_armed.store(state.handler != nullptr || state.points != nullptr);
}

// "name=kill@20", "name=abort", "name=sleep:50@3"
std::unique_ptr<ArmedPoint> ParsePoint(absl::string_view text) {
  auto point = std::make_unique<ArmedPoint>();
  const std::pair<absl::string_view, absl::string_view> named =
      absl::StrSplit(text, absl::MaxSplits('=', 1));
  const std::pair<absl::string_view, absl::string_view> placed =
      absl::StrSplit(named.second, absl::MaxSplits('@', 1));
  const std::pair<absl::string_view, absl::string_view> action =
      absl::StrSplit(placed.first, absl::MaxSplits(':', 1));
  int64_t sleep_ms = 0;
  bool valid = !named.first.empty();
  if (action.first == "kill" && action.second.empty()) {
    point->action = Action::kKill;
  } else if (action.first == "abort" && action.second.empty()) {
    point->action = Action::kAbort;
  } else if (action.first == "sleep" && absl::SimpleAtoi(action.second, &sleep_ms)) {
    point->action = Action::kSleep;
    valid = valid && sleep_ms >= 0;
  } else {
    valid = false;
  }
  if (absl::StrContains(named.second, "@")) {
    valid = valid && absl::SimpleAtoi(placed.second, &point->at_pass) && point->at_pass > 0;
  }
  if (!valid) {
    Fatal(absl::StrCat("TIDEMARK_FAILPOINTS: cannot read \"", text,
                       "\"; expected name=kill|abort|sleep:MILLISECONDS[@PASS]"));
  }
  point->name = std::string(named.first);
  point->sleep = absl::Milliseconds(sleep_ms);
  return point;
}

void Pass(ArmedPoint& point) {
  const int64_t pass = point.passes.fetch_add(1) + 1;
  if (point.at_pass != 0 && pass != point.at_pass) return;
  switch (point.action) {
    case Action::kKill:
      ::raise(SIGKILL);
      return;
    case Action::kAbort:
      std::abort();
    case Action::kSleep:
      absl::SleepFor(point.sleep);
      return;
  }
}

}  // namespace

void SetHandler(Handler handler) {
  State& state = GetState();
  MutexLock lock(&state.mutex);
  state.handler = std::make_shared<Handler>(std::move(handler));
  Rearm(state);
}

void ClearHandler() {
  State& state = GetState();
  MutexLock lock(&state.mutex);
  state.handler = nullptr;
  Rearm(state);
}

void ArmFromEnvironment() {
  const char* text = std::getenv("TIDEMARK_FAILPOINTS");
  auto points = std::make_shared<ArmedPoints>();
  if (text == nullptr) text = "";
  for (absl::string_view part : absl::StrSplit(text, ';', absl::SkipEmpty())) {
    points->push_back(ParsePoint(part));
  }
  State& state = GetState();
  MutexLock lock(&state.mutex);
  state.points = points->empty() ? nullptr : std::move(points);
  Rearm(state);
}

void Reached(absl::string_view name) {
  State& state = GetState();
  std::shared_ptr<Handler> handler;
  std::shared_ptr<const ArmedPoints> points;
  {
    MutexLock lock(&state.mutex);
    handler = state.handler;
    points = state.points;
  }
  if (points != nullptr) {
    for (const std::unique_ptr<ArmedPoint>& point : *points) {
      if (point->name == name) Pass(*point);
    }
  }
  if (handler != nullptr) (*handler)(name);
}

}  // namespace tidemark::failpoint

#ifdef TIDEMARK_PLANTED_BUGS
namespace tidemark::planted_bug {
namespace {

struct ActiveBug {
  Mutex mutex;
  std::string name ABSL_GUARDED_BY(mutex);
};

ActiveBug& GetActiveBug() {
  static ActiveBug* bug = [] {
    auto* created = new ActiveBug;
    const char* name = std::getenv("TIDEMARK_PLANTED_BUG");
    MutexLock lock(&created->mutex);
    if (name != nullptr) created->name = name;
    return created;
  }();
  return *bug;
}

}  // namespace

bool Active(absl::string_view name) {
  ActiveBug& bug = GetActiveBug();
  MutexLock lock(&bug.mutex);
  return bug.name == name;
}

void Activate(std::string name) {
  ActiveBug& bug = GetActiveBug();
  MutexLock lock(&bug.mutex);
  bug.name = std::move(name);
}

}  // namespace tidemark::planted_bug
#endif
