#include "tests/sim/env/world.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"

namespace tidemark::sim {
namespace {

constexpr size_t kRecentEvents = 200;
constexpr absl::Duration kMinDelay = absl::Microseconds(1);
constexpr absl::Duration kMaxStall = absl::Milliseconds(20);

absl::Duration DrawDuration(Random& random, absl::Duration min, absl::Duration max) {
  CHECK(min <= max);
  const uint64_t range_ns = static_cast<uint64_t>(absl::ToInt64Nanoseconds(max - min));
  return min + absl::Nanoseconds(static_cast<int64_t>(DrawBelow(random, range_ns + 1)));
}

}  // namespace

struct World::Sequence {
  std::shared_ptr<const std::string> name;
  std::string node;
  bool killed = false;
  absl::Duration stalled_until;
  std::deque<Task> tasks;
  std::map<std::pair<absl::Duration, TimerId>, Task> timers;
  std::map<TimerId, absl::Duration> timer_times;

  bool HasWork(const Event& event) const {
    if (!event.is_timer) return !tasks.empty();
    return !timers.empty() && timers.begin()->first.first <= event.when;
  }

  Task Take(bool is_timer) {
    Task task;
    if (is_timer) {
      auto first = timers.begin();
      timer_times.erase(first->first.second);
      task = std::move(first->second);
      timers.erase(first);
    } else {
      task = std::move(tasks.front());
      tasks.pop_front();
    }
    return task;
  }

  // What the tasks hold may post while it is destroyed; that finds the sequence killed.
  void Kill() {
    killed = true;
    std::exchange(tasks, {}).clear();
    timer_times.clear();
    std::exchange(timers, {}).clear();
  }
};

class World::SimClock : public Clock {
 public:
  explicit SimClock(const World& world) : world_(world) {}
  absl::Duration Monotonic() const override { return world_.now_; }
  absl::Time Wall() const override { return absl::FromUnixSeconds(1'700'000'000) + world_.now_; }

 private:
  const World& world_;
};

class World::SimExecutor : public Executor {
 public:
  SimExecutor(World& world, std::shared_ptr<Sequence> sequence)
      : world_(world), sequence_(std::move(sequence)) {}
  ~SimExecutor() override { sequence_->Kill(); }

  void Post(Task task) override {
    world_.Post(sequence_, world_.now_ + world_.DrawDelay(), std::move(task));
  }
  TimerId PostAt(absl::Duration when, Task task) override {
    return world_.PostTimer(sequence_, when, world_.DrawDelay(), std::move(task));
  }
  void Cancel(TimerId id) override {
    auto time = sequence_->timer_times.find(id);
    if (time == sequence_->timer_times.end()) return;
    auto timer = sequence_->timers.find({time->second, id});
    const Task cancelled = std::move(timer->second);
    sequence_->timers.erase(timer);
    sequence_->timer_times.erase(time);
  }
  bool IsCurrent() const override { return world_.current_ == sequence_.get(); }

  void Kill() { sequence_->Kill(); }
  void StallUntil(absl::Duration when) {
    sequence_->stalled_until = std::max(sequence_->stalled_until, when);
  }

 private:
  World& world_;
  const std::shared_ptr<Sequence> sequence_;
};

class World::SimRunner : public BlockingRunner {
 public:
  SimRunner(World& world, std::shared_ptr<Sequence> sequence, absl::Duration min_latency,
            absl::Duration max_latency)
      : world_(world),
        sequence_(std::move(sequence)),
        min_latency_(min_latency),
        max_latency_(max_latency) {}
  ~SimRunner() override { sequence_->Kill(); }

  void Run(Task task) override {
    busy_until_ = std::max(busy_until_, world_.now_ + kMinDelay) +
                  DrawDuration(world_.schedule_random_, min_latency_, max_latency_);
    world_.Post(sequence_, busy_until_, std::move(task));
  }

 private:
  World& world_;
  const std::shared_ptr<Sequence> sequence_;
  const absl::Duration min_latency_;
  const absl::Duration max_latency_;
  absl::Duration busy_until_;
};

bool World::Event::operator>(const Event& other) const {
  return std::tie(when, tie_break, number) > std::tie(other.when, other.tie_break, other.number);
}

// Each seed draws its own weather: from almost lock-step to threads that are rarely scheduled.
World::World(uint64_t seed)
    : random_(seed),
      schedule_random_(seed ^ 0x9E3779B97F4A7C15),
      clock_(std::make_unique<SimClock>(*this)),
      outside_(NewSequence("world", "")) {
  constexpr int64_t kMaxDelaysUs[] = {2, 20, 200, 2000};
  constexpr uint64_t kStallsOneIn[] = {0, 10'000, 1'000, 100};
  max_delay_ = absl::Microseconds(kMaxDelaysUs[DrawBelow(schedule_random_, 4)]);
  stall_one_in_ = kStallsOneIn[DrawBelow(schedule_random_, 4)];
  MixTrace(absl::StrCat("seed ", seed));
}

World::~World() = default;

Clock& World::clock() { return *clock_; }

std::shared_ptr<World::Sequence> World::NewSequence(const std::string& name,
                                                    const std::string& node) {
  auto sequence = std::make_shared<Sequence>();
  sequence->name =
      std::make_shared<const std::string>(node.empty() ? name : absl::StrCat(node, "/", name));
  sequence->node = node;
  std::erase_if(sequences_, [](const std::weak_ptr<Sequence>& old) { return old.expired(); });
  sequences_.push_back(sequence);
  return sequence;
}

std::unique_ptr<Executor> World::NewExecutor(const std::string& name, const std::string& node) {
  return std::make_unique<SimExecutor>(*this, NewSequence(name, node));
}

std::unique_ptr<BlockingRunner> World::NewBlockingRunner(const std::string& name,
                                                         absl::Duration min_latency,
                                                         absl::Duration max_latency,
                                                         const std::string& node) {
  return std::make_unique<SimRunner>(*this, NewSequence(name, node), min_latency, max_latency);
}

absl::Duration World::DrawDelay() {
  if (stall_one_in_ != 0 && DrawOneIn(schedule_random_, stall_one_in_)) {
    return DrawDuration(schedule_random_, kMinDelay, kMaxStall);
  }
  return DrawDuration(schedule_random_, kMinDelay, max_delay_);
}

void World::Schedule(std::shared_ptr<Sequence> sequence, absl::Duration when, bool is_timer) {
  events_.push(
      {when, schedule_random_.Next(), ++last_event_number_, is_timer, std::move(sequence)});
}

// An event takes the front of the queue, whichever task it was scheduled for: first in, first out.
void World::Post(const std::shared_ptr<Sequence>& sequence, absl::Duration when, Task task) {
  if (sequence->killed) return;
  sequence->tasks.push_back(std::move(task));
  Schedule(sequence, when, false);
}

TimerId World::PostTimer(const std::shared_ptr<Sequence>& sequence, absl::Duration when,
                         absl::Duration lateness, Task task) {
  const TimerId id = ++last_timer_id_;
  if (sequence->killed) return id;
  sequence->timers.emplace(std::pair(when, id), std::move(task));
  sequence->timer_times.emplace(id, when);
  Schedule(sequence, std::max(when, now_) + lateness, true);
  return id;
}

void World::At(absl::Duration when, Task task) {
  PostTimer(outside_, when, absl::ZeroDuration(), std::move(task));
}

bool World::FindNext() {
  while (!events_.empty()) {
    const Event front = events_.top();
    const bool dead = front.sequence->killed || !front.sequence->HasWork(front);
    if (!dead && front.when >= front.sequence->stalled_until) return true;
    events_.pop();
    if (!dead) Schedule(front.sequence, front.sequence->stalled_until, front.is_timer);
  }
  return false;
}

bool World::RunOne() {
  if (!FindNext()) return false;
  const Event event = events_.top();
  events_.pop();
  CHECK(event.when >= now_);
  now_ = event.when;
  ++events_run_;
  MixTrace(*event.sequence->name);
  Remember(event.sequence->name);
  RunInSequence(*event.sequence, event.sequence->Take(event.is_timer));
  return true;
}

void World::RunInSequence(Sequence& sequence, Task task) {
  try {
    const Sequence* const before = std::exchange(current_, &sequence);
    const absl::Cleanup restore = [this, before] { current_ = before; };
    task();
    task = nullptr;
  } catch (const SimulatedCrash& crash) {
    if (crash.kind() == CrashKind::kCheckFailure) throw;
    task = nullptr;  // before the hook destroys what it may refer to
    Crashed(sequence.node, crash);
  }
}

bool World::RunAsNode(const std::string& node, absl::FunctionRef<void()> work) {
  const std::shared_ptr<Sequence> sequence = NewSequence("start", node);
  RunInSequence(*sequence, [work] { work(); });
  return !sequence->killed;
}

void World::Crashed(const std::string& node, const SimulatedCrash& crash) {
  Note(absl::StrCat("crash of ", node, ": ", crash.reason()));
  KillNode(node);
  if (on_crash_) on_crash_(node, crash);
}

void World::Stall(Executor& executor, absl::Duration duration) {
  dynamic_cast<SimExecutor&>(executor).StallUntil(now_ + duration);
}

void World::Kill(Executor& executor) { dynamic_cast<SimExecutor&>(executor).Kill(); }

void World::KillNode(const std::string& node) {
  const std::vector<std::weak_ptr<Sequence>> sequences = sequences_;
  for (const std::weak_ptr<Sequence>& weak : sequences) {
    const std::shared_ptr<Sequence> sequence = weak.lock();
    if (sequence && sequence != outside_ && sequence->node == node) sequence->Kill();
  }
}

bool World::RunUntilIdle(int64_t max_events) {
  for (int64_t i = 0; i < max_events; ++i) {
    if (!RunOne()) return true;
  }
  return !FindNext();
}

void World::RunFor(absl::Duration duration) {
  const absl::Duration end = now_ + duration;
  while (FindNext() && events_.top().when <= end) RunOne();
  now_ = std::max(now_, end);
}

bool World::RunUntil(absl::FunctionRef<bool()> done, absl::Duration timeout) {
  const absl::Duration end = now_ + timeout;
  while (!done()) {
    if (!FindNext() || events_.top().when > end) return false;
    RunOne();
  }
  return true;
}

void World::Note(absl::string_view what) {
  MixTrace(what);
  Remember(std::make_shared<const std::string>(what));
}

// FNV-1a over the time and the text.
void World::MixTrace(absl::string_view what) {
  constexpr uint64_t kPrime = 0x100000001B3;
  trace_hash_ = (trace_hash_ ^ static_cast<uint64_t>(absl::ToInt64Nanoseconds(now_))) * kPrime;
  for (unsigned char byte : what) trace_hash_ = (trace_hash_ ^ byte) * kPrime;
}

void World::Remember(std::shared_ptr<const std::string> what) {
  if (recent_.size() == kRecentEvents) recent_.pop_front();
  recent_.push_back({now_, std::move(what)});
}

std::vector<std::string> World::recent_events() const {
  std::vector<std::string> texts;
  texts.reserve(recent_.size());
  for (const Recent& event : recent_) {
    texts.push_back(absl::StrCat(absl::FormatDuration(event.when), " ", *event.what));
  }
  return texts;
}

}  // namespace tidemark::sim
